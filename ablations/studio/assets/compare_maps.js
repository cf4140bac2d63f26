// Label maps and the map of differences, drawn over the picture.

import { breakable, h, percent } from "/assets/studio.js";
import { NOTHING, unpack } from "/assets/try_drawing.js";

const SVG = "http://www.w3.org/2000/svg";
/** Colours of what became of a pixel, by its code; apart for colour-blind eyes too. */
const CODES = { 2: [128, 128, 128, 150], 3: [222, 110, 20, 255], 4: [32, 115, 205, 255], 5: [165, 75, 175, 255], 6: [165, 75, 175, 255] };

const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const hex = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

function canvas(width, height, paint) {
  const made = h("canvas", { width, height, "aria-hidden": "true" });
  const context = made.getContext("2d");
  const image = context.createImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    const colour = paint(at);
    if (colour) image.data.set(colour, 4 * at);
  }
  context.putImageData(image, 0, 0);
  return made;
}

/** The names of regions: [{text, x, y, size, upright, class_index}]. */
function writing(names, width, height, colours) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-hidden", "true");
  for (const one of names) {
    const [r, g, b] = rgb(colours[one.class_index]);
    const light = 0.299 * r + 0.587 * g + 0.114 * b > 140;
    const lines = one.text.split("\n");
    lines.forEach((line, row) => {
      const text = document.createElementNS(SVG, "text");
      const shift = (row - (lines.length - 1) / 2) * one.size * 1.15 + one.size * 0.35;
      text.setAttribute("x", one.upright ? 0 : one.x);
      text.setAttribute("y", one.upright ? 0 : one.y + shift);
      if (one.upright) text.setAttribute("transform", `translate(${one.x + shift} ${one.y}) rotate(-90)`);
      text.setAttribute("font-size", one.size);
      text.setAttribute("fill", light ? "#000" : "#fff");
      text.setAttribute("stroke", light ? "#fff" : "#000");
      text.setAttribute("stroke-width", one.size * 0.14);
      text.textContent = line;
      svg.append(text);
    });
  }
  return svg;
}

function figure(title, kind, picture, ...layers) {
  const image = h("img", { src: `data:image/png;base64,${picture}`, alt: title });
  return h("figure", { "data-map": kind }, h("figcaption", {}, breakable(title)), h("div", { class: `layers ${kind}` }, image, layers));
}

/** Show what the studio answered; `onPixel` is told in words what is under the pointer. */
export async function drawMaps(place, legend, told, onPixel) {
  const [height, width] = told.size;
  const colours = told.colours.map(rgb);
  const titles = { first: `First: ${told.sets[0].name}`, second: `Second: ${told.sets[1].name}`, truth: "Labels" };
  const maps = {};
  const figures = [];
  for (const [kind, title] of Object.entries(titles)) {
    const one = told[kind];
    if (!one) continue;
    maps[kind] = await unpack(one.map, Uint16Array);
    const pixels = maps[kind];
    const map = canvas(width, height, (at) => (pixels[at] === NOTHING ? null : [...colours[pixels[at]], 255]));
    figures.push(figure(title, kind, told.picture, map, writing(one.names, width, height, told.colours)));
  }
  const codes = await unpack(told.difference.map);
  figures.push(figure("Where they differ", "difference", told.picture, canvas(width, height, (at) => CODES[codes[at]])));
  place.replaceChildren(...figures);
  legend.replaceChildren(...legends(told));

  const name = (kind, at) => (maps[kind][at] === NOTHING ? "nothing" : told.classes[maps[kind][at]]);
  const point = (event) => {
    const layers = event.target.closest(".layers");
    if (!layers) return;
    const box = layers.getBoundingClientRect();
    const x = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    const y = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    const at = y * width + x;
    const labelled = maps.truth ? `; labelled: ${name("truth", at)}` : "";
    onPixel(`At ${x}, ${y}: first: ${name("first", at)}; second: ${name("second", at)}${labelled}.`);
  };
  place.onpointermove = point;
  place.onpointerdown = point;
}

function legends(told) {
  const swatch = (colour) => h("span", { class: "swatch", style: { background: colour } });
  const of = told.truth ? "labelled pixels" : "the pixels";
  const differences = told.difference.shares.map(({ code, name, share }) =>
    h("li", {}, swatch(CODES[code] ? hex(CODES[code]) : "transparent"), `${name} ${percent(share)} %`));
  const share = new Map();
  for (const kind of ["first", "second", "truth"]) for (const [at, part] of told[kind]?.shares ?? []) share.set(at, Math.max(share.get(at) ?? 0, part));
  const classes = [...share.entries()].filter(([, part]) => part >= 0.005).sort((one, other) => other[1] - one[1]);
  const named = classes.map(([at]) => h("li", {}, swatch(told.colours[at]), told.classes[at]));
  const made = [
    h("ul", { class: "legend", id: "differences", "aria-label": `Parts of ${of}` }, h("li", {}, h("b", {}, `Of ${of}:`)), differences),
  ];
  const { scores } = told;
  if (scores) {
    const change = scores.right[1] - scores.right[0];
    made.push(h("p", { id: "right" }, `Right: ${percent(scores.right[0])} % with the first, ${percent(scores.right[1])} % with the second (${signed(change)}); `
      + `the mean IoU of its ${scores.classes.length} labelled classes: ${percent(scores.mean[0])} and ${percent(scores.mean[1])} %. One picture proves nothing: compare over a split.`));
  }
  made.push(h("ul", { class: "legend", "aria-label": "Classes" }, named));
  return made;
}

/** 0.0123 as "+1.2". */
export const signed = (value, digits = 1) =>
  value === null || value === undefined ? "-" : `${value > 0 ? "+" : value < 0 ? "−" : "±"}${Math.abs(100 * value).toFixed(digits)}`;
