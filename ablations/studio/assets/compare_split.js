// What a comparison over a split came to.

import { h, percent } from "/assets/studio.js";
import { signed } from "/assets/compare_maps.js";

const SVG = "http://www.w3.org/2000/svg";
const SIDES = { above: "second better", below: "first better", "": "may be chance" };
const MEANS = { miou: "all classes (mIoU)", seen: "seen classes", unseen: "unseen classes" };
const FIRST = 30; // classes that are shown at once

/** A difference with its interval, to the scale of the largest. */
function chart(row, scale) {
  const svg = document.createElementNS(SVG, "svg");
  const put = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    svg.append(made);
  };
  const x = (value) => 50 + 48 * Math.max(-1, Math.min(1, value / scale));
  svg.setAttribute("viewBox", "0 0 100 12");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", `chart ${row.holds || "unsure"}`);
  svg.setAttribute("aria-hidden", "true");
  put("line", { class: "zero", x1: 50, x2: 50, y1: 0, y2: 12, "vector-effect": "non-scaling-stroke" });
  if (row.difference_low !== null)
    put("line", { class: "interval", x1: x(row.difference_low), x2: x(row.difference_high), y1: 6, y2: 6, "vector-effect": "non-scaling-stroke" });
  put("line", { class: "dot", x1: x(row.difference), x2: x(row.difference), y1: 6, y2: 6, "vector-effect": "non-scaling-stroke" });
  return svg;
}

const ends = (row) => (row.difference_low === null ? "no interval" : `${signed(row.difference_low)} to ${signed(row.difference_high)}`);
const gap = (row) => h("td", { class: "n gap" }, signed(row.difference), row.difference === null ? null : h("span", { class: "soft" }, ends(row)));
const reach = (row) => Math.max(...[row.difference, row.difference_low, row.difference_high].map((one) => Math.abs(one ?? 0)));
const verdict = (row) =>
  row.difference === null ? "in no label"
    : row.difference_low !== null ? SIDES[row.holds]
      : row.no_interval ? row.no_interval : "the same in every resample";
const chip = (row) => h("span", { class: `chip ${{ above: "good", below: "bad" }[row.holds] ?? ""}`, title: verdict(row) }, row.no_interval ? "no interval" : verdict(row));

function means(told) {
  const rows = Object.entries(MEANS).filter(([key]) => told.means[key]);
  const scale = Math.max(1e-9, ...rows.map(([key]) => reach(told.means[key])));
  const head = h("tr", {}, ["mean over", "first", "second", "difference", "", ""].map((name, at) => h("th", { scope: "col", class: at && at < 4 ? "n" : null }, name)));
  const body = rows.map(([key, name]) => {
    const row = told.means[key];
    return h("tr", {}, h("th", { scope: "row" }, name, h("span", { class: "soft" }, ` ${row.classes}`)),
      [percent(row.first), percent(row.second)].map((text) => h("td", { class: "n" }, text)), gap(row),
      h("td", {}, row.difference === null ? null : chart(row, scale)), h("td", {}, row.difference === null ? "in no label" : chip(row)));
  });
  return h("div", { class: "scroll" }, h("table", { class: "data", id: "means" }, h("thead", {}, head), h("tbody", {}, body)));
}

function classRow(row, scale, sees) {
  const texts = h("tr", { class: "both-texts", hidden: true }, h("td", { colspan: 7 },
    h("p", {}, h("b", {}, "first: "), row.texts_first.join(" · ")), h("p", {}, h("b", {}, "second: "), row.texts_second.join(" · "))));
  const open = h("button", { class: "plain", "aria-expanded": "false", onclick: () => {
    texts.hidden = !texts.hidden;
    open.setAttribute("aria-expanded", String(!texts.hidden));
  } }, row.name);
  const cells = [
    h("th", { scope: "row" }, open, sees && row.seen === false ? h("span", { class: "soft" }, " unseen") : null),
    h("td", { class: "n wide" }, String(row.pictures)),
    ...[percent(row.first), percent(row.second)].map((text) => h("td", { class: "n wide" }, text)),
    gap(row),
    h("td", {}, row.difference === null ? null : chart(row, scale)),
    h("td", {}, chip(row)),
  ];
  return [h("tr", {}, cells), texts];
}

function classes(told) {
  const held = told.classes.filter((row) => row.difference !== null);
  const scale = Math.max(1e-9, ...held.map(reach));
  const sees = Boolean(told.means.unseen);
  const only = h("input", { type: "checkbox", id: "only", onchange: () => draw() });
  const body = h("tbody");
  const more = h("button", { onclick: () => draw(Infinity) });
  const draw = (most = FIRST) => {
    const some = held.filter((row) => !only.checked || row.holds);
    body.replaceChildren(...some.slice(0, most).flatMap((row) => classRow(row, scale, sees)));
    if (!some.length) body.append(h("tr", {}, h("td", { colspan: 7 }, "No class has an interval that leaves out 0.")));
    more.textContent = `Show all ${some.length}`;
    more.hidden = some.length <= most;
  };
  draw();
  const names = ["class", "pictures", "first", "second", "difference", "", ""];
  const head = h("tr", {}, names.map((name, at) => h("th", { scope: "col", class: at >= 1 && at <= 3 ? "n wide" : at === 4 ? "n" : null }, name)));
  return [
    h("h3", {}, "Class by class"),
    h("p", { id: "counted" }, counted(told, held)),
    h("label", { class: "line" }, only, "only those whose interval leaves out 0"),
    h("div", { class: "scroll" }, h("table", { class: "data", id: "classes" }, h("thead", {}, head), body)),
    more,
  ];
}

function counted(told, held) {
  const of = (test) => held.filter(test).length;
  const surely = told.no_interval
    ? `there are ${told.no_interval} to tell for which surely.`
    : `the interval lies above 0 for ${of((row) => row.holds === "above")} and below 0 for ${of((row) => row.holds === "below")}. Each interval stands for itself: of many classes to which nothing was done, one in twenty would seem to have changed.`;
  const absent = told.classes.length - held.length;
  return `IoU in %; difference: second minus first, with its paired 95 % interval, the largest first. Of ${held.length} classes in the labels the IoU of ${of((row) => row.difference > 0)} rose and of ${of((row) => row.difference < 0)} fell; ${surely}`
    + (absent ? ` ${absent} scored classes are in no label.` : "");
}

function pictures(told, onPicture) {
  const tiles = told.shown.map((row) => {
    const query = new URLSearchParams({ split: told.part, place: row.place });
    const caption = `${signed(row.difference)} right, ${percent(row.changed, 0)} % changed`;
    return h("button", { "aria-label": `${row.key}: ${caption}`, title: row.key, onclick: () => onPicture(told.part, row.place) },
      h("img", { src: `/api/compare/thumbnail?${query}`, alt: "", loading: "lazy" }), h("span", { class: "caption" }, caption));
  });
  return [
    h("h3", {}, "Where they differ most"),
    h("p", { class: "soft" }, "Points of labelled pixels that became right, and the part that has another class, at least. A click shows the picture above."),
    h("div", { class: "tiles differ", id: "differ" }, tiles),
  ];
}

/** The result of a task; `onPicture(split, place)` shows a picture above. */
export function drawResult(place, told, onPicture) {
  place.replaceChildren(
    h("p", { id: "summary" }, told.summary),
    told.part === "report" ? h("p", { class: "soft" }, "These are report pictures: a set that is picked by what stands here has no honest report any more.") : "",
    told.part === "selection" ? h("p", { class: "soft" }, "These are selection pictures: a set that was chosen or refined on them, as a run's best, looks better here than it is. The report pictures tell how much of it holds.") : "",
    means(told), ...classes(told), ...pictures(told, onPicture),
    h("p", { class: "soft" }, `${told.pictures} pictures, ${told.classes_labelled} of ${told.classes_scored} scored classes in their labels; 2000 bootstrap resamples of ${told.groups === null ? "pictures" : `${told.groups} groups of pictures`}; ${told.seconds.toFixed(1)} s.`),
  );
}
