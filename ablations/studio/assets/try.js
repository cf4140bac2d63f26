// The page Try. Its choices are in the address; what the studio answers is drawn here.

import { $, Refused, api, attempt, debounce, h, percent, remember, untilReady } from "/assets/studio.js";
import { HEAT, NOTHING, heatMap, labelMap, paint } from "/assets/try_drawing.js";
import { Phrases } from "/assets/try_phrases.js";
import { Pictures } from "/assets/try_pictures.js";

const SOON = 40; // milliseconds without another key
const MAPS = 400; // cost maps that are kept
const about = $("script[src='/assets/try.js']").dataset;
const canvas = $("#canvas");
const now = { picture: null, image: null, answer: null, labels: null, truth: null, heat: null, cross: null, best: null, classes: [] };
const maps = new Map();

const phrases = new Phrases($("#phrases"), $("#options"), { onEdit: edited, onPoint: point, limit: Number(about.limit), unit: about.unit });
const pictures = new Pictures(choosePicture);

// -- what is asked -------------------------------------------------------------------------------

const chosenAttributes = () => [...document.querySelectorAll("#attributes :checked")].map((box) => box.value);

function request() {
  return {
    picture: now.picture,
    lines: phrases.lines,
    attributes: chosenAttributes(),
    llm: $("#llm")?.value,
    background: $("#background").value.split(",").map((name) => name.trim()).filter(Boolean),
    threshold: $("#limited").checked ? Number($("#threshold").value) : null,
  };
}

/** One question at a time: a new one ends the one before, whose answer is never used. */
function latest() {
  let controller = null;
  return async (path, body, use) => {
    controller?.abort();
    const mine = (controller = new AbortController());
    try {
      const answer = await api(path, body, { signal: mine.signal });
      if (mine === controller) await use(answer, () => mine === controller);
    } catch (error) {
      if (error.name === "AbortError" || mine !== controller) return;
      if (error.answer?.not_here && await attempt(() => pictures.again(body.picture))) return edited();
      throw error;
    }
  };
}
const [askMap, askHeat, askPixel] = [latest(), latest(), latest()];

async function segment() {
  save();
  if (!now.ready || !now.picture || now.loaded !== now.picture) return;
  try {
    await askMap("/api/try/segment", request(), async (answer, isLatest) => {
      const labels = answer.map ? await labelMap(answer) : null;
      if (isLatest()) shown(answer, labels);
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
    $("#frame").classList.add("stale");
  }
}
const soon = debounce(segment, SOON);

function edited() {
  count();
  soon();
}

function count() {
  const some = phrases.lines.filter((line) => line.trim()).length;
  $("#count").textContent = some === 1 ? "1 phrase" : `${some} phrases`;
}

function say(text, wrong = false) {
  $("#said").textContent = text;
  $("#said").className = wrong ? "error" : "soft";
}

// -- what is shown -------------------------------------------------------------------------------

function shown(answer, labels) {
  Object.assign(now, { answer, labels });
  document.documentElement.dataset.shown = Number(document.documentElement.dataset.shown ?? 0) + 1;
  $("#frame").classList.remove("stale");
  say(labels ? "" : "Write a word or a phrase: the picture is divided among them.");
  const place = new Map(answer.classes?.map((name, at) => [name, at]));
  phrases.show(answer.phrases, (phrase) => {
    const at = place.get(phrase.name) ?? place.get("background");
    return { colour: answer.colours?.[at], share: place.has(phrase.name) ? answer.shares[at] : null };
  });
  if (answer.map) limits(answer);
  showLabelled();
  draw();
  if (phrases.list.querySelector(".shown")) point(phrases.rows.find((row) => row.classList.contains("shown")));
  if (now.cross) pixel();
}

/** The ends of the threshold, and what it is. */
function limits({ low, high }) {
  const slider = $("#threshold");
  slider.min = Math.floor(low * 100) / 100;
  slider.max = Math.ceil(high * 100) / 100;
  slider.disabled = !$("#limited").checked;
  $("#bar").textContent = Number(slider.value).toFixed(3);
}

function draw() {
  if (!now.image) return;
  const small = innerWidth < 704; // as in try.css
  const ratio = now.image.naturalWidth / now.image.naturalHeight;
  const most = Math.min($("#frame").clientWidth, ratio * (small ? 0.42 * innerHeight : Math.max(260, innerHeight - 375)));
  canvas.style.width = `${Math.floor(most)}px`;
  paint(canvas, scene(), most * devicePixelRatio);
  const names = now.labels ? now.labels.classes.filter((_, at) => now.answer.shares[at] > 0.005) : [];
  canvas.setAttribute("aria-label", now.heat ? `Where ${now.heat.name} scores` : names.length ? `The picture, divided into ${names.join(", ")}` : "The picture");
  $("#scale").hidden = !now.heat;
  if (now.heat) {
    const [low, high] = document.querySelectorAll("#scale span");
    low.textContent = now.heat.low.toFixed(2);
    high.textContent = now.heat.high.toFixed(2);
    $("#here").textContent = `${now.answer.score === "cosine" ? "Cosine with" : "Probability of"} ${now.heat.name}`;
  } else if (!now.pointer) $("#here").textContent = "\u00a0";
}

const scene = () => ({
  picture: now.image, labels: now.labels, heat: now.heat, cross: now.cross, named: $("#named").checked,
  view: $("[name=view]:checked").value, opacity: $("#opacity").value / 100,
});

function showLabelled() {
  const told = now.answer.labelled;
  $("#side").hidden = !now.truth;
  if (!now.truth || !told) return ["#mean", "#ious", "#also"].forEach((one) => $(one).replaceChildren());
  const { colours, classes } = now.answer;
  let more = classes.length;
  const colour = new Map(told.classes.map((row) => [row.name, row.phrase === null ? colours[more++] : colours[row.phrase]]));
  now.truthColours = now.truth.classes.map((name) => colour.get(name) ?? "#8c9196");
  drawTruth();
  $("#mean").replaceChildren(h("b", {}, `${percent(told.mean)} %`), " mean IoU of the ", h("span", {}, `${told.classes.filter((row) => row.share).length} labelled classes`));
  $("#ious").replaceChildren(
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Class"), h("th", { class: "n", scope: "col" }, "IoU, %"))),
    h("tbody", {}, told.classes.filter((row) => row.share).map((row) => h("tr", {},
      h("td", {}, h("span", { class: "dot", style: { background: colour.get(row.name) } }), row.name),
      h("td", { class: "n" }, row.phrase === null
        ? h("button", { type: "button", title: "None of the phrases means this class", "aria-label": `Add the phrase ${row.name}`, onclick: () => { phrases.insert(null, row.name); edited(); } }, "+ add")
        : percent(row.iou))))));
  const wrong = told.classes.filter((row) => !row.share).map((row) => row.name);
  $("#also").textContent = wrong.length ? `Predicted, but not labelled here: ${wrong.join(", ")}.` : "";
}

async function drawTruth() {
  const truth = now.truth, colours = now.truthColours;
  const labels = await labelMap(truth, colours);
  if (truth !== now.truth || colours !== now.truthColours) return;
  paint($("#truth"), { labels, view: "map", named: $("#named").checked, opacity: 1 }, 300 * devicePixelRatio);
}

// -- cost maps and pixels ------------------------------------------------------------------------

/** Show where the phrase of a row scores; none: the label map again. */
async function point(row) {
  now.pointed = row?.phrase && !row.phrase.said ? row.phrase : null;
  const { pointed, answer } = now;
  if (!pointed || !answer?.map) {
    if (now.heat) { now.heat = null; draw(); }
    return;
  }
  const competing = answer.phrases.filter((one) => !one.said);
  const key = JSON.stringify([now.picture, pointed.texts, answer.low, answer.high, answer.score === "cosine" ? 0 : competing.map((one) => one.texts)]);
  const use = (heat) => { if (now.pointed?.name === pointed.name) { now.heat = heat; draw(); } };
  if (maps.has(key)) return use(maps.get(key));
  if (now.asked === key) return;
  now.asked = key;
  await attempt(() => askHeat("/api/try/map", { ...request(), place: competing.indexOf(pointed) }, async (told) => {
    const heat = await heatMap(told, answer.low, answer.high);
    if (told.name !== pointed.name) return;
    if (maps.size >= MAPS) maps.delete(maps.keys().next().value);
    maps.set(key, heat);
    use(heat);
  }));
  if (now.asked === key) now.asked = null;
}

async function pixel() {
  if (!now.cross || !now.answer?.map) return;
  await attempt(() => askPixel("/api/try/pixel", { ...request(), ...now.cross }, (told) => {
    now.best = told;
    showBest();
  }));
}
const pixelSoon = debounce(pixel, 120);

function showBest() {
  const { best, answer, cross } = now;
  $("#best").hidden = !best;
  if (!best || !cross) return;
  const colour = (name) => answer.colours[answer.classes.includes(name) ? answer.classes.indexOf(name) : answer.classes.indexOf("background")];
  const part = (score) => `${Math.max(1, (100 * (score - answer.low)) / (answer.high - answer.low || 1))}%`;
  const truth = trueName(cross.y * now.image.naturalWidth + cross.x);
  const close = h("button", { type: "button", class: "plain", "aria-label": "Close", onclick: () => mark(null) }, "×");
  $("#best").replaceChildren(
    h("h2", {}, `Best at ${cross.x}, ${cross.y}`, h("span", { class: "soft" }, truth ? `labelled ${truth}` : ""), close),
    h("ol", {}, best.best.map(({ name, score }) => h("li", {},
      h("span", { class: "dot", style: { background: colour(name) } }), h("b", { title: name }, name),
      h("span", { class: "meter" }, h("i", { style: { width: part(score) } })), h("span", { class: "n" }, score.toFixed(3))))));
}

function trueName(at) {
  const truth = now.truth;
  return !truth ? null : truth.pixels[at] === NOTHING ? "nothing" : truth.classes[truth.pixels[at]];
}

/** Put the cross on a pixel, or take it away. */
function mark(cross) {
  now.cross = cross;
  if (!cross) { now.best = null; showBest(); }
  draw();
  save();
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const size = [now.image.naturalWidth, now.image.naturalHeight];
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((part, at) => Math.min(size[at] - 1, Math.max(0, Math.floor(part * size[at]))));
  return { x, y };
}

function hover(event) {
  if (!now.image || !now.labels) return;
  now.pointer = true;
  const { x, y } = place(event);
  const at = y * now.image.naturalWidth + x;
  const truth = trueName(at);
  const what = now.heat ? `${now.heat.name} ${now.heat.value(at).toFixed(3)}` : now.labels.classes[now.labels.map[at]];
  $("#here").textContent = `${x}, ${y}   ${what}${truth ? ` (labelled ${truth})` : ""}`;
}

function keys(event) {
  if (!now.image) return;
  const [wide, high] = [now.image.naturalWidth, now.image.naturalHeight];
  const step = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(wide, high) / 48));
  const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (event.key === "Escape") return mark(null);
  if (!move && event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  const { x, y } = now.cross ?? { x: wide >> 1, y: high >> 1 };
  const [dx, dy] = now.cross && move ? move : [0, 0];
  mark({ x: Math.min(wide - 1, Math.max(0, x + dx)), y: Math.min(high - 1, Math.max(0, y + dy)) });
  pixelSoon();
}

// -- pictures, choices, and the address ----------------------------------------------------------

async function choosePicture(name) {
  Object.assign(now, { picture: name, cross: null, best: null, heat: null, pointed: null });
  $("#best").hidden = true;
  $("#frame").classList.add("stale");
  say("");
  save();
  try {
    const [image, truth] = await opened(name);
    if (now.picture !== name) return;
    Object.assign(now, { image, truth, labels: null, loaded: name });
    $("#present").hidden = !truth;
    draw();
    await segment();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (now.picture === name) say(error.message, true);
  }
}

/** A picture and its labels, if it has any. */
async function opened(name) {
  let told;
  const ask = () => api(`/api/try/labels?${new URLSearchParams({ name })}`);
  try {
    told = await ask();
  } catch (error) {
    if (!error.answer?.not_here || !(await pictures.again(name))) throw error;
    told = await ask();
  }
  const image = new Image();
  image.src = pictures.address("picture", name);
  const [labels] = await Promise.all([told.map ? labelMap(told) : null, image.decode()]);
  return [image, labels ? { ...told, pixels: labels.map } : null];
}

function save() {
  const lines = phrases.lines.map((line) => line.trim()).filter(Boolean);
  const all = lines.length === now.classes.length && lines.every((line, at) => line === now.classes[at]);
  remember({
    picture: now.picture, phrases: all ? "*" : lines.join("\n") || " ", attributes: chosenAttributes().join(","),
    llm: $("#llm")?.selectedIndex ? $("#llm").value : null, background: $("#background").value.trim(),
    threshold: $("#limited").checked ? $("#threshold").value : null,
    view: $("[name=view]:checked").value === "overlay" ? null : $("[name=view]:checked").value,
    opacity: $("#opacity").value === "60" ? null : $("#opacity").value, names: $("#named").checked ? null : "0",
    page: pictures.page || null, at: now.cross ? `${now.cross.x},${now.cross.y}` : null,
  });
}

function restore(asked) {
  const lines = asked.get("phrases");
  phrases.set(lines === null || lines === "*" ? now.classes : lines.split("\n").filter((line) => line.trim()));
  const attributes = (asked.get("attributes") ?? "").split(",");
  for (const box of document.querySelectorAll("#attributes input")) box.checked = attributes.includes(box.value);
  if ($("#llm") && asked.get("llm")) $("#llm").value = asked.get("llm");
  $("#background").value = asked.get("background") ?? "";
  $("#limited").checked = asked.has("threshold");
  Object.assign($("#threshold"), { min: -1, value: asked.get("threshold") ?? 0.15, disabled: !asked.has("threshold") });
  $("#apart").open = asked.has("threshold") || asked.has("background");
  const view = document.querySelector(`[name=view][value="${CSS.escape(asked.get("view") ?? "overlay")}"]`);
  if (view) view.checked = true;
  $("#opacity").value = asked.get("opacity") ?? 60;
  $("#named").checked = asked.get("names") !== "0";
  count();
}

function download() {
  if (!now.image) return;
  const copy = document.createElement("canvas");
  paint(copy, { ...scene(), cross: null }, Math.max(1280, now.image.naturalWidth));
  copy.toBlob((blob) => {
    const link = h("a", { href: URL.createObjectURL(blob), download: `${now.picture.replace(/[^\w.-]+/g, "_").slice(0, 40)}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

function replaceLines(lines) {
  phrases.set(lines);
  edited();
}

function listen() {
  $("#all").onclick = () => replaceLines(now.classes);
  $("#present").onclick = () => replaceLines(now.truth.classes);
  $("#clear").onclick = () => { replaceLines([]); phrases.focus(phrases.rows[0]); };
  $("#add").onclick = () => phrases.focus(phrases.insert(null));
  $("#attributes").onchange = edited;
  if ($("#llm")) $("#llm").onchange = edited;
  $("#background").oninput = edited;
  $("#limited").onchange = edited;
  $("#threshold").oninput = () => { $("#bar").textContent = Number($("#threshold").value).toFixed(3); edited(); };
  for (const input of document.querySelectorAll("[name=view], #opacity, #named")) input.oninput = () => { draw(); save(); };
  $("#named").addEventListener("change", () => { if (now.truth) drawTruth(); });
  $("#download").onclick = download;
  canvas.onpointermove = hover;
  canvas.onpointerleave = () => { now.pointer = false; draw(); };
  canvas.onclick = (event) => { if (now.image) { mark(place(event)); pixel(); } };
  canvas.onkeydown = keys;
  new ResizeObserver(draw).observe($("#frame"));
  const bar = $("#scale canvas"), context = bar.getContext("2d");
  HEAT.forEach((colour, at) => { context.fillStyle = `rgb(${colour})`; context.fillRect(at, 0, 1, 1); });
}

async function start() {
  listen();
  const asked = new URLSearchParams(location.search);
  $("#frame").classList.add("loading");
  const ready = untilReady();
  const [known] = await Promise.all([api("/api/try/names"), pictures.turn(Number(asked.get("page")) || 0)]);
  now.classes = known.classes;
  phrases.names = known.names.map(([name, ...where]) => ({
    name, count: where.length, own: where.some((at) => known.vocabularies[at] === known.vocabulary),
    from: known.vocabularies[where[0]] + (where.length > 1 ? ` +${where.length - 1}` : ""),
  }));
  $("#all").textContent = `All ${known.classes.length} classes`;
  $("#all").title = `Those of ${known.vocabulary} that the benchmark scores`;
  restore(asked);
  const first = asked.get("picture") ?? pictures.names?.[0];
  if (first) pictures.choose(first);
  const at = (asked.get("at") ?? "").split(",").map(Number);
  if (first && at.length === 2 && at.every(Number.isInteger)) now.cross = { x: at[0], y: at[1] };
  await ready;
  now.ready = true;
  $("#frame").classList.remove("loading");
  await segment();
}

attempt(start);
