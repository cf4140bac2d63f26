// The page Compare: two prompt sets on one picture and over a split.

import { receive, tile, warn } from "/assets/filmstrip.js";
import { $, api, attempt, follow, h, notice, remember, untilReady } from "/assets/studio.js";
import { Chooser, clean, wanted } from "/assets/compare_sets.js";
import { drawMaps } from "/assets/compare_maps.js";
import { drawResult } from "/assets/compare_split.js";

const LIMITS = [25, 50];
const query = new URLSearchParams(location.search);
const state = { split: null, picture: null, page: 0, total: 0, perPage: 24, asked: 0, task: null };
const sets = {};

/** What stands in the address as JSON, or null. */
function described(name) {
  if (!query.has(name)) return null;
  try {
    return clean(JSON.parse(query.get(name)));
  } catch {
    return null;
  }
}

function changed() {
  remember(Object.fromEntries(Object.entries(sets).map(([name, one]) => [name, JSON.stringify(one.spec)])));
  compareOnPicture();
}

function chosen() {
  const first = wanted(sets.first.spec);
  const second = wanted(sets.second.spec);
  return first && second ? { first, second } : null;
}

// -- one picture --

async function compareOnPicture() {
  const both = chosen();
  if (!both || !state.picture) return;
  const asked = ++state.asked;
  $("#maps").classList.add("working");
  try {
    const told = await api("/api/compare/picture", { ...both, ...state.picture });
    if (asked === state.asked) await drawMaps($("#maps"), $("#legend"), told, (words) => ($("#pixel").textContent = words));
  } catch (error) {
    if (asked === state.asked) $("#legend").replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
  }
  if (asked === state.asked) $("#maps").classList.remove("working");
}

/** Show which picture of the strip is compared. */
function mark() {
  const place = String(state.picture?.place);
  for (const one of $("#tiles").children) one.setAttribute("aria-pressed", String(one.dataset.place === place));
  $("#tiles [aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function showPicture(picture, scroll = false) {
  state.picture = picture;
  remember({ place: picture.place ?? null });
  mark();
  warn(picture.sent);
  if (scroll) $("#one").scrollIntoView({ block: "start" });
  return compareOnPicture();
}

async function showTiles() {
  const told = await api(`/api/compare/pictures?${new URLSearchParams({ split: state.split, page: state.page })}`);
  Object.assign(state, { total: told.total, perPage: told.per_page });
  const tiles = told.pictures.map(({ place, key }) => {
    const src = `/api/compare/thumbnail?${new URLSearchParams({ split: state.split, place })}`;
    const one = tile(key, src, () => showPicture({ split: state.split, place }));
    one.dataset.place = place;
    return one;
  });
  $("#tiles").replaceChildren(...tiles);
  mark();
  const last = state.page * state.perPage + tiles.length;
  $("#which").textContent = `${state.page * state.perPage + 1} to ${last} of ${told.total}`;
  $("#before").disabled = state.page === 0;
  $("#after").disabled = last >= told.total;
}

async function turnTo(split, place = 0) {
  state.split = split;
  state.page = Math.floor(place / state.perPage);
  $("#split").value = split;
  $("#honest").classList.toggle("now", split === "report");
  remember({ split });
  limits();
  await showTiles();
}

async function ownPicture(file) {
  const { sent } = await api("/api/compare/send", file);
  await showPicture({ sent });
}

// -- over a split --

function limits() {
  const there = state.splits[state.split];
  const some = LIMITS.filter((one) => one < there).map((one) => h("option", { value: one }, `the first ${one}`));
  const all = state.most && there > state.most ? [] : [h("option", { value: "" }, `all ${there} pictures`)];
  const before = $("#limit").value || query.get("limit");
  $("#limit").replaceChildren(...some, ...all);
  if (some.some((one) => one.value === before)) $("#limit").value = before;
}

function busy(task) {
  const running = task?.state === "running";
  $("#start").disabled = running;
  $("#cancel").hidden = $("#progress").hidden = !running;
  if (!running) return void ($("#progress-text").textContent = "");
  const bar = $("#progress");
  if (task.done) Object.assign(bar, { max: task.total, value: task.done });
  else bar.removeAttribute("value");
  $("#progress-text").textContent = `${task.message || "beginning"}${task.done ? `: ${Math.floor((100 * task.done) / task.total)} %` : ""}`;
}

async function watch(task) {
  state.task = task.id;
  remember({ task: task.id });
  try {
    const told = await follow(task, busy);
    if (told) drawResult($("#result"), told, (split, place) => attempt(async () => {
      await turnTo(split, place);
      await showPicture({ split, place }, true);
    }));
    else if (state.task === task.id) {
      remember({ task: null });
      $("#result").replaceChildren(h("p", { class: "soft" }, "The comparison was called off."));
    }
  } catch (error) {
    remember({ task: null });
    $("#result").replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
  } finally {
    busy(null);
  }
}

async function start() {
  const both = chosen();
  if (!both) return notice("Choose both prompt sets first.", "error");
  const limit = $("#limit").value;
  remember({ limit });
  $("#result").replaceChildren();
  const task = await api("/api/compare/split", { ...both, split: state.split, limit: limit ? Number(limit) : null });
  await watch(task);
}

async function again() {
  const id = query.get("task");
  if (!id) return;
  try {
    await watch(await api(`/api/tasks/${encodeURIComponent(id)}`));
  } catch (error) {
    remember({ task: null });
    $("#result").replaceChildren(h("p", { class: "soft" }, error.message));
  }
}

// -- the beginning --

async function open() {
  const choices = await api("/api/compare/choices");
  const described0 = new Map(Object.entries(choices.llms.find((one) => one.name === choices.llm)?.attributes ?? {}));
  const usual = ["color", "shape", "texture", "pattern"].filter((name) => described0.has(name)).slice(0, 4);
  const second = usual.length ? { kind: "attributes", attributes: usual, llm: choices.llm } : { kind: "name", template: "imagenet" };
  sets.first = new Chooser($("#first"), "First", choices, described("first") ?? { kind: "name" }, changed);
  sets.second = new Chooser($("#second"), "Second", choices, described("second") ?? second, changed);
  Object.assign(state, { splits: choices.splits, most: choices.most });
  const names = Object.keys(choices.splits);
  $("#split").replaceChildren(...names.map((name) => h("option", { value: name }, `${name}: ${choices.splits[name]} of ${choices.data}`)));
  $("#honest").hidden = !names.includes("report");
  const split = names.includes(query.get("split")) ? query.get("split") : names[0];
  const place = Math.min(choices.splits[split] - 1, Math.max(0, parseInt(query.get("place") ?? "0", 10) || 0));
  await turnTo(split, place);
  await Promise.all([showPicture({ split, place }), again()]);
}

$("#split").onchange = (event) => attempt(async () => {
  await turnTo(event.target.value);
  await showPicture({ split: state.split, place: 0 });
});
$("#before").onclick = () => attempt(() => ((state.page -= 1), showTiles()));
$("#after").onclick = () => attempt(() => ((state.page += 1), showTiles()));
receive($("#picture"), (file) => attempt(() => ownPicture(file)));
$("#opacity").oninput = (event) => document.body.style.setProperty("--opacity", event.target.value / 100);
$("#names").onchange = (event) => $("#maps").classList.toggle("no-names", !event.target.checked);
$("#swap").onclick = () => {
  const [first, second] = [sets.first.spec, sets.second.spec];
  sets.first.show(second);
  sets.second.show(first);
  changed();
};
$("#start").onclick = () => attempt(start);
$("#cancel").onclick = () => attempt(() => api(`/api/tasks/${encodeURIComponent(state.task)}/cancel`, {}));

attempt(untilReady);
attempt(open);
