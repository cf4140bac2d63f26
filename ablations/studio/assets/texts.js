// The page Texts: the table of a vocabulary's cells. The editor at its side is in texts_editor.js.

import { $, api, attempt, breakable, debounce, h, percent, remember, untilReady } from "/assets/studio.js";
import { Editor } from "/assets/texts_editor.js";

const AGAIN = 15000; // milliseconds after which the table looks at the store again
const ROWS = 50;
const FIELDS = ["vocab", "name", "attributes", "llms", "search"];
const BOXES = ["samples", "pairs"];
const COLUMNS = [
  ["class", "class"], ["attribute", "attribute"], ["llm", "by"], ["text", "text"],
  ["tokens", "tokens"], ["", "samples"], ["status", "status"], ["", "IoU, %"],
];

const view = { offset: 0, sort: "class", descending: false, rows: [], total: 0 };
let asked = null;

/** What a cell is called in the address of the page: the same after a reload. */
const keyOf = (row) => [row.class_index ?? row.index, row.attribute, row.llm].map(encodeURIComponent).join(":");

const editor = new Editor($("#editor"), { onChange: () => load(), onClose: closed });

function pressed() {
  return [...document.querySelectorAll("#statuses button[aria-pressed=true]")].map((button) => button.dataset.status);
}

function listed(values) {
  return values.filter(Boolean).map(encodeURIComponent).join(",");
}

function query() {
  const values = { vocab: $("#vocab").value, name: $("#name").value, search: $("#search").value };
  values.attributes = listed([$("#attributes").value]);
  values.llms = listed([$("#llms").value]);
  values.statuses = listed(pressed());
  for (const box of BOXES) if ($(`#${box}`).checked) values[box] = "1";
  values.sort = view.sort;
  if (view.descending) values.descending = "1";
  values.offset = view.offset;
  values.limit = ROWS;
  return new URLSearchParams(values);
}

/** Ask for the rows; a newer question calls an older one off. */
async function load() {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  await attempt(async () => {
    const table = await api(`/api/texts/table?${query()}`, undefined, { signal });
    if (signal.aborted) return;
    if (view.offset && view.offset >= table.total) {
      view.offset = Math.max(0, Math.floor((table.total - 1) / ROWS) * ROWS);
      return load();
    }
    Object.assign(view, { rows: table.rows, total: table.total });
    choices($("#attributes"), table.attributes);
    choices($("#llms"), table.llms);
    for (const button of document.querySelectorAll("#statuses button"))
      $("span", button).textContent = table.counts[button.dataset.status];
    show();
  });
}

/** Fill a select, and keep what is chosen. */
function choices(select, names) {
  const chosen = select.value || select.dataset.wanted || "";
  delete select.dataset.wanted;
  const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
  select.replaceChildren(h("option", { value: "" }, "all"), ...all.map((name) => h("option", {}, name)));
  select.value = chosen;
}

function show() {
  const focused = document.activeElement?.dataset?.key;
  $(".cells").classList.toggle("no-scores", view.rows.every((row) => !row.score));
  $("#heads").replaceChildren(...COLUMNS.map(([sort, name]) => heading(sort, name)));
  $("#cells").replaceChildren(...view.rows.map(line));
  if (!view.rows.length) $("#cells").append(h("tr", {}, h("td", { colspan: COLUMNS.length, class: "soft" }, "No cell is like that.")));
  const first = $("#cells tr[data-key]");
  const again = focused && [...$("#cells").children].find((one) => one.dataset.key === focused);
  (again || first)?.setAttribute("tabindex", 0);
  if (again) again.focus({ preventScroll: true });
  mark();
  const last = Math.min(view.offset + ROWS, view.total);
  $("#where").textContent = view.total ? `${view.offset + 1} to ${last} of ${view.total}` : "0 of 0";
  $("#previous").disabled = view.offset === 0;
  $("#next").disabled = last >= view.total;
}

function heading(sort, name) {
  const number = name === "tokens" || name === "samples" || name === "IoU, %";
  if (!sort) return h("th", { scope: "col", class: number && "n" }, name);
  const order = view.sort === sort ? (view.descending ? "descending" : "ascending") : null;
  const arrow = { ascending: " ↑", descending: " ↓" }[order] || "";
  return h("th", { scope: "col", class: number && "n", "aria-sort": order }, h("button", { type: "button", onclick: () => sortBy(sort) }, name + arrow));
}

function sortBy(sort) {
  view.descending = view.sort === sort && !view.descending;
  Object.assign(view, { sort, offset: 0 });
  load();
}

function line(row) {
  const text = row.text ?? (row.status === "failed" ? row.reason : null);
  const findings = row.findings.map((one) => one.message).join("; ");
  return h(
    "tr",
    { "data-key": keyOf(row), tabindex: -1, onclick: () => open(row) },
    h("th", { scope: "row" }, row.readable),
    h("td", {}, breakable(row.attribute)),
    h("td", { class: "by", title: row.llm }, row.llm),
    h("td", { class: text ? "text" : "text soft", title: row.remedy }, text ?? "-"),
    h("td", { class: row.tokens > row.limit ? "n error" : "n", "data-label": "tokens" }, row.tokens ?? ""),
    h("td", { class: "n", "data-label": row.samples === 1 ? "sample" : "samples" }, row.samples),
    h("td", {},
      h("span", { class: `chip ${{ failed: "error", locked: "good" }[row.status] || ""}` }, row.status),
      row.review && [" ", h("span", { class: "chip bad", title: row.review }, "review")],
      findings && [" ", h("span", { class: "chip", title: findings }, "lint")]),
    h("td", { class: "n", title: row.score && `${row.score.prompts} in ${row.score.run}` }, row.score ? percent(row.score.iou) : ""),
  );
}

function mark() {
  const key = editor.cell && keyOf(editor.cell);
  for (const one of $("#cells").children) one.classList.toggle("chosen", one.dataset.key === key);
}

function open(row) {
  const cell = { vocab: $("#vocab").value, index: row.class_index, attribute: row.attribute, llm: row.llm };
  remember({ cell: keyOf(row) });
  $(".texts").classList.add("open");
  editor.open(cell);
  mark();
}

function closed() {
  const key = [...$("#cells").children].find((one) => one.classList.contains("chosen"));
  $(".texts").classList.remove("open");
  remember({ cell: null });
  mark();
  (key || $("#cells tr[data-key]"))?.focus();
}

function step(from, by) {
  const lines = [...document.querySelectorAll("#cells tr[data-key]")];
  const next = lines[lines.indexOf(from) + by];
  if (!next) return;
  from.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}

$("#cells").addEventListener("keydown", (event) => {
  const from = event.target.closest("tr[data-key]");
  if (!from) return;
  if (event.key === "ArrowDown") step(from, 1);
  else if (event.key === "ArrowUp") step(from, -1);
  else if (event.key === "Enter") open(view.rows.find((row) => keyOf(row) === from.dataset.key));
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && editor.cell) editor.close();
});

const filtered = debounce(load, 200);
function changed() {
  view.offset = 0;
  remember(Object.fromEntries([...FIELDS.map((id) => [id, $(`#${id}`).value]), ...BOXES.map((id) => [id, $(`#${id}`).checked ? 1 : ""]), ["statuses", pressed().join(",")]]));
  filtered();
}
$("#filters").addEventListener("input", (event) => {
  if (event.target.id === "vocab") {
    $("#attributes").value = $("#llms").value = "";
    if (editor.cell) editor.close();
  }
  changed();
});
$("#filters").addEventListener("submit", (event) => event.preventDefault());
for (const button of document.querySelectorAll("#statuses button"))
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    changed();
  });
$("#previous").addEventListener("click", () => turn(-ROWS));
$("#next").addEventListener("click", () => turn(ROWS));
function turn(by) {
  view.offset = Math.max(0, view.offset + by);
  load();
}

/** What the address says: the filters, and the cell that was open. */
function recall() {
  const given = new URLSearchParams(location.search);
  for (const id of FIELDS) {
    const value = given.get(id);
    if (value === null) continue;
    if (id === "attributes" || id === "llms") $(`#${id}`).dataset.wanted = value;
    else if (id !== "vocab" || [...$("#vocab").options].some((option) => option.value === value)) $(`#${id}`).value = value;
  }
  const { llm: usual } = $(".texts").dataset;
  if (!given.has("llms") && usual !== "bundled") $("#llms").dataset.wanted = usual;
  for (const id of ["attributes", "llms"]) {
    const value = $(`#${id}`).dataset.wanted;
    if (value) choices($(`#${id}`), [value]);
  }
  for (const id of BOXES) $(`#${id}`).checked = given.get(id) === "1";
  for (const status of (given.get("statuses") || "").split(","))
    document.querySelector(`#statuses button[data-status="${CSS.escape(status)}"]`)?.setAttribute("aria-pressed", true);
  const [index, attribute, llm] = (given.get("cell") || "").split(":").map(decodeURIComponent);
  if (llm) open({ class_index: Number(index), attribute, llm });
}

recall();
load();
window.addEventListener("focus", load);
setInterval(() => document.visibilityState === "visible" && load(), AGAIN);
attempt(untilReady);
