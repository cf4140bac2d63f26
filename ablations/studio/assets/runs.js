import { $, api, attempt, breakable, debounce, h, notice, percent, remember, untilReady, wait } from "/assets/studio.js";
import { curve } from "/assets/curve.js";
import { copy, spell } from "/assets/spell.js";

const SCORES = ["miou", "low", "high", "seen", "unseen"];
const SHARED = ["benchmark", "model", "llm", "pictures"];
const SORTS = ["miou", "seen", "unseen", "scored", "prompts", "benchmark", "model", "llm"];
const STATES = { running: "working", done: "good", partly: "bad", stopped: "bad", failed: "error" };
const asked = new URLSearchParams(location.search);

const time = (seconds) => new Date(1000 * seconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
const money = (dollars) => (dollars === null ? null : `$${dollars < 1 ? dollars.toFixed(4) : dollars.toFixed(2)}`);
const runPage = (name) => `/runs/one?run=${encodeURIComponent(name)}`;
const chip = (state) => h("span", { class: `chip ${STATES[state] ?? ""}` }, state);

function clock(seconds) {
  const [m, s] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  return m >= 60 ? `${Math.floor(m / 60)}:${String(m % 60).padStart(2, "0")}:${String(s).padStart(2, "0")}` : `${m}:${String(s).padStart(2, "0")}`;
}

// -- the form ----------------------------------------------------------------------------

let commands = [];
const command = () => commands.find((one) => one.name === $("#command").value);

/** One field of a form: its name, what it is for, and its input. */
function field(one) {
  const id = `field-${one.name}`, value = one.default ?? "";
  const said = h("span", { class: "soft" }, one.help);
  if (one.kind === "flag") return h("label", { class: "line" }, h("input", { type: "checkbox", id, name: one.name }), h("span", {}, `${one.label}: `, said));
  let input;
  if (one.kind === "choice") {
    const empty = one.required ? [] : [h("option", { value: "" }, "(default)")];
    input = h("select", { id, name: one.name }, empty, one.choices.map((choice) => h("option", { value: choice }, choice)));
    if (one.choices.includes(value)) input.value = value;
  } else if (one.kind === "integer" || one.kind === "number") {
    input = h("input", { type: "number", id, name: one.name, min: String(one.low), max: String(one.high), step: one.kind === "integer" ? "1" : "any" });
  } else {
    input = h("input", { type: "text", id, name: one.name, value: String(value), maxlength: "300", spellcheck: "false" });
  }
  if (asked.has(one.name) && one.kind !== "flag") input.value = asked.get(one.name);
  return h("label", { "data-field": one.name }, h("span", {}, one.required ? `${one.label} *` : one.label), said, input);
}

function values() {
  const found = {};
  for (const one of command().fields) {
    const input = $(`#field-${one.name}`);
    if (one.kind === "flag") { if (input.checked) found[one.name] = true; }
    else if (input.value !== "") found[one.name] = one.kind === "integer" || one.kind === "number" ? Number(input.value) : input.value;
  }
  return found;
}

function choose() {
  $("#does").textContent = command().does;
  $("#fields").replaceChildren(...command().fields.map(field));
  remember({ command: command().name });
  return preview();
}

let turn = 0;
async function preview() {
  const mine = ++turn;
  const wrong = $("#wrong");
  try {
    const told = await api("/api/runs/preview", { command: command().name, values: values() });
    if (mine !== turn) return;
    spell($("#preview"), told.command);
    $("#price").textContent = told.asks ? `${told.price}${told.needs ? `: give ${command().fields.find((one) => one.name === told.needs)?.label ?? told.needs}` : ""}` : "";
    for (const label of document.querySelectorAll("#fields label")) label.classList.toggle("needed", label.dataset.field === told.needs);
    $("#go").disabled = Boolean(told.needs);
    wrong.hidden = true;
  } catch (error) {
    if (mine !== turn) return;
    wrong.textContent = error.message;
    wrong.hidden = false;
    $("#go").disabled = true;
  }
}

async function start(event) {
  event.preventDefault();
  $("#go").disabled = true;
  await attempt(async () => {
    await api("/api/runs/start", { command: command().name, values: values() });
    notice(`Started ${command().name}.`);
    asked.forEach((_, key) => asked.delete(key));
    const given = values();
    await forms();
    again(given);
  });
  await preview();
  soon();
}

/** What was given stays in the form, for the next start; a folder of results is new each time. */
function again(given) {
  for (const { name, kind } of command().fields) {
    const input = $(`#field-${name}`);
    if (kind === "flag") input.checked = Boolean(given[name]);
    else if (kind !== "folder") input.value = given[name] ?? "";
  }
}

async function forms() {
  const before = $("#command").value || asked.get("command");
  commands = (await api("/api/runs/commands")).commands;
  $("#command").replaceChildren(...commands.map((one) => h("option", { value: one.name }, one.name)));
  if (commands.some((one) => one.name === before)) $("#command").value = before;
  await choose();
}

// -- what goes on ------------------------------------------------------------------------

const cards = new Map();

/** The end of what a job wrote, read while it is open. */
function log(job) {
  const text = h("pre", { tabindex: "0" }, "...");
  const box = h("details", {}, h("summary", {}, "What it says"), text);
  const read = () => attempt(async () => {
    const told = await api(`/api/runs/log?job=${encodeURIComponent(job)}`);
    const end = text.scrollHeight - text.scrollTop - text.clientHeight < 30;
    text.textContent = [told.stderr, told.stdout].filter(Boolean).join("\n") || "Nothing yet.";
    if (end) text.scrollTop = text.scrollHeight;
  });
  box.addEventListener("toggle", () => box.open && read());
  return { box, read: () => box.open && read() };
}

function stopButton(job) {
  const button = h("button", { type: "button", class: "danger stop" }, "Stop");
  button.onclick = () => attempt(async () => {
    button.disabled = true;
    const told = await api("/api/runs/stop", { job }).finally(() => { button.disabled = false; });
    notice(told.pressed === 1 ? "It was asked to stop: what is finished is kept." : "It was told to end at once.");
    button.textContent = "Stop at once";
    soon();
  });
  return button;
}

/** A card of something that goes on; `update` fills it with what is told now. */
function card(job, pressed) {
  const head = h("div", { class: "head" }), what = h("p", {}), numbers = h("div", { class: "numbers" });
  const bar = h("progress", { max: "1", "aria-label": "Progress" }), drawing = h("div", {});
  const words = h("pre", {}), copies = h("button", { type: "button", class: "plain soft" }, "Copy the command");
  copies.onclick = () => copy(words.textContent);
  const button = job ? stopButton(job) : null, said = job ? log(job) : null;
  if (button && pressed) button.textContent = "Stop at once";
  const box = h("article", { class: "going" }, head, what, bar, numbers, drawing, words, copies, said?.box);
  let drawn = "";
  return { box, update(one) {
    const title = one.folder !== null && one.listed ? h("a", { href: runPage(one.name) }, one.name) : one.name;
    head.replaceChildren(h("span", { class: "chip" }, one.kind), h("strong", {}, title), chip(one.state), ...(button && one.state === "running" ? [button] : []));
    what.textContent = one.error || one.what;
    bar.hidden = one.state !== "running";
    if (one.total) bar.value = Math.min(1, one.done / one.total); else bar.removeAttribute("value");
    const seconds = Date.now() / 1000 - one.started;
    const told = [one.total ? `${one.done} of ${one.total}` : one.done ? `${one.done} done` : null, money(one.cost_usd),
      one.started ? (one.state === "running" ? `for ${clock(seconds)}` : time(one.started)) : null, one.state === "running" && one.left !== null ? `${clock(one.left)} left` : null, one.host && one.pid ? `process ${one.pid} on ${one.host}` : null];
    numbers.replaceChildren(...told.filter(Boolean).map((text) => h("span", {}, text)));
    const key = JSON.stringify(one.losses.at(-1) ?? null);
    if (key !== drawn) { drawn = key; const line = curve(one.losses, "loss"); drawing.replaceChildren(...(line ? [line] : [])); }
    words.hidden = copies.hidden = !one.command;
    if (words.textContent !== one.command) spell(words, one.command);
    said?.read();
  } };
}

/** What is told of a job that has left nothing else yet. */
const ofJob = (job) => ({ kind: job.command.split(" ")[1], name: "", folder: null, state: job.state, what: "starting", done: 0, total: 0, left: null,
  cost_usd: null, losses: [], started: job.started, command: job.command, pid: null, host: "", error: "", job: job.id });

function over(job) {
  const said = log(job.id);
  const spelt = (words) => { const code = h("code", { class: "grow" }); spell(code, words); return code; };
  return h("div", { class: "job" }, h("div", { class: "row" }, chip(job.state), h("span", { class: "soft" }, time(job.started)), spelt(job.command),
    h("button", { type: "button", class: "plain soft", onclick: () => copy(job.command) }, "Copy")), said.box);
}

let ended = null, running = "", listed = new Set();
async function now() {
  const told = await api("/api/runs/now");
  const jobs = new Map(told.jobs.map((job) => [job.id, job]));
  const shown = told.activity.map((one) => ({ ...one, command: jobs.get(one.job)?.command ?? one.command, listed: listed.has(one.name) }));
  const seen = new Set(shown.map((one) => one.job));
  shown.unshift(...told.jobs.filter((job) => job.state === "running" && !seen.has(job.id)).map(ofJob));
  const keys = new Set();
  for (const one of shown) {
    const key = one.job ?? JSON.stringify([one.kind, one.folder, one.name, one.pid, one.started]);
    keys.add(key);
    if (!cards.has(key)) cards.set(key, card(one.job, jobs.get(one.job)?.pressed));
    const { box, update } = cards.get(key);
    update(one);
    const place = $(one.state === "running" ? "#now" : "#cut-short");
    if (box.parentNode !== place) place.append(box);
  }
  for (const [key, { box }] of cards) if (!keys.has(key)) { box.remove(); cards.delete(key); }
  const going = shown.filter((one) => one.state === "running").length;
  $("#nothing").hidden = going > 0;
  $("#cut").hidden = shown.length === going;
  $("#cut summary").textContent = `Cut short (${shown.length - going})`;
  const past = told.jobs.filter((job) => job.state !== "running");
  const fingerprint = JSON.stringify(past.map((job) => [job.id, job.state]));
  if (fingerprint !== ended) {
    if (ended !== null) $("#over").open = true;
    ended = fingerprint;
    $("#jobs").replaceChildren(...past.map(over));
    $("#over").hidden = past.length === 0;
  }
  const busy = JSON.stringify([...keys]) + ended;
  if (busy !== running) { running = busy; attempt(results); attempt(board); }
  return told.busy;
}

let wake = () => {}, said = "";
const soon = () => wake();
async function watch() {
  for (;;) {
    let busy = false;
    try { busy = await now(); } catch (error) { if (error.message !== said) notice((said = error.message), "error"); }
    const pause = document.hidden ? 10000 : busy ? 1000 : 4000;
    await Promise.race([wait(pause), new Promise((done) => { wake = done; })]);
  }
}

// -- results, and the leaderboard --------------------------------------------------------

async function results() {
  const told = await api("/api/runs/results");
  listed = new Set(told.results.map((one) => one.name));
  $("#folder").textContent = `in ${told.folder}${told.count > told.results.length ? `, the latest ${told.results.length} of ${told.count}` : ""}`;
  $("#results tbody").replaceChildren(...told.results.map((one) => h("tr", {},
    h("th", { scope: "row", title: one.name }, h("a", { href: runPage(one.name) }, one.name)), h("td", {}, one.kind), h("td", {}, one.title),
    h("td", {}, breakable(one.best || "-")), h("td", { class: "n" }, percent(one.score)), h("td", { class: "soft" }, time(one.created)))));
  $("#results").hidden = told.results.length === 0;
  $("#no-results").hidden = told.results.length > 0;
}

/** What a filter says: before it is filled the address does. */
const filter = (select) => (select.options.length ? select.value : asked.get(`by-${select.name}`) ?? "");

function fill(select, choices, first) {
  const before = filter(select);
  const options = first === null ? [] : [h("option", { value: "" }, first)];
  select.replaceChildren(...options, ...choices.map((one) => h("option", { value: one }, one === "miou" ? "mIoU" : one)));
  if (choices.includes(before)) select.value = before;
}

const share = (value) => (value === null || value === undefined ? "-" : percent(value));
async function board() {
  const chosen = Object.fromEntries([...document.querySelectorAll("#filters select")].map((s) => [s.name, filter(s)]));
  const query = new URLSearchParams({ split: "report", ...Object.fromEntries(Object.entries(chosen).filter(([, v]) => v !== "")) });
  const told = await api(`/api/runs/leaderboard?${query}`).catch((error) => {
    if ($("#filters select").options.length) throw error;
    return api("/api/runs/leaderboard");  // the address names what is not there any more
  });
  for (const name of ["benchmark", "model", "llm"]) fill($(`#filters [name=${name}]`), told.choices[name] ?? [], "all");
  fill($("#filters [name=split]"), ["report", "selection", ...told.splits], null);
  fill($("#filters [name=sort]"), SORTS, null);
  const columns = [["prompts", "Prompts"], ["miou", "mIoU, %", 1], ["interval", "95 % interval", 1], ["seen", "Seen", 1], ["unseen", "Unseen", 1],
    ["benchmark", "Benchmark"], ["model", "Model"], ["llm", "LLM"], ["composition", "Composition"], ["pictures", "Pictures", 1], ["run", "Run"]];
  // What all rows share is said above them.
  const same = (key) => told.rows.length > 1 && told.rows.every((row) => row[key] === told.rows[0][key]) && told.rows[0][key] !== null;
  const heads = columns.filter(([key]) => !(SHARED.includes(key) && same(key)));
  $("#shared").textContent = columns.filter(([key]) => SHARED.includes(key) && same(key)).map(([key, text]) => `${text}: ${told.rows[0][key]}`).join("; ");
  $("#board thead").replaceChildren(h("tr", {}, heads.map(([, text, right]) => h("th", { scope: "col", class: right ? "n" : "" }, text))));
  $("#board tbody").replaceChildren(...told.rows.map((row) => h("tr", {}, heads.map(([key, , right]) => {
    let text = row[key] ?? "-";
    if (key === "interval") text = row.low === null ? (row.no_interval ?? "-") : `${share(row.low)} to ${share(row.high)}`;
    else if (SCORES.includes(key)) text = share(row[key]);
    if (key === "run" && listed.has(row.run)) text = h("a", { href: runPage(row.run) }, row.run);
    return h(key === "prompts" ? "th" : "td", { class: right ? "n" : "", scope: key === "prompts" ? "row" : null }, key === "prompts" ? breakable(text) : text instanceof Node ? text : String(text));
  }))));
  $("#board").hidden = told.rows.length === 0;
  $("#no-board").hidden = told.rows.length > 0;
}

$("#command").addEventListener("change", () => attempt(choose));
$("#fields").addEventListener("input", debounce(() => attempt(preview), 120));
$("#start").addEventListener("submit", start);
$("#copy").addEventListener("click", () => copy($("#preview").textContent));
$("#filters").addEventListener("change", (event) => { remember({ [`by-${event.target.name}`]: event.target.value }); attempt(board); });
attempt(forms);
watch();
attempt(untilReady);
