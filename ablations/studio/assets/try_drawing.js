// A picture, its label map in colours with names on the regions, or a cost map, on a canvas.

/** What the studio packed: deflated numbers, as base64. */
export async function unpack(text, kind = Uint8Array) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new kind(await new Response(stream).arrayBuffer());
}

export const NOTHING = 65535; // in a label map

const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** Dark letters on light colours, light ones on dark: [letters, halo]. */
function ink(colour) {
  const [r, g, b] = rgb(colour).map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.26 ? ["#000", "rgb(255 255 255 / .75)"] : ["#fff", "rgb(0 0 0 / .65)"];
}

// Viridis, as in the report, at nine places.
const STOPS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(rgb);
export const HEAT = Array.from({ length: 256 }, (_, at) => {
  const place = (at / 255) * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((value, channel) => Math.round(value + (STOPS[low + 1][channel] - value) * (place - low)));
});

/** A canvas of numbers, each in its colour of a table; what has none is clear. */
function canvasOf(numbers, width, height, table) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const one = new Uint8ClampedArray(4), whole = new Uint32Array(one.buffer); // in the machine's byte order
  const packed = Uint32Array.from(table, (colour) => { one.set(colour ? [...colour, 255] : [0, 0, 0, 0]); return whole[0]; });
  for (let at = 0; at < numbers.length; at++) pixels[at] = packed[numbers[at]];
  context.putImageData(image, 0, 0);
  return canvas;
}

const FINE = 160_000; // pixels of a map from which on its borders are a pixel wide, not drawn as lines

/** The borders between regions as lines, in pixels of the map. */
function outlines(map, width, height) {
  const path = new Path2D();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x + 1 < width && map[at] !== map[at + 1]) { path.moveTo(x + 1, y); path.lineTo(x + 1, y + 1); }
      if (y + 1 < height && map[at] !== map[at + width]) { path.moveTo(x, y + 1); path.lineTo(x + 1, y + 1); }
    }
  }
  return path;
}

/** The same of a large map, as a canvas. */
function edges(map, width, height) {
  const there = new Uint8Array(map.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if ((x + 1 < width && map[at] !== map[at + 1]) || (y + 1 < height && map[at] !== map[at + width])) there[at] = 1;
    }
  }
  return canvasOf(there, width, height, [null, [255, 255, 255]]);
}

/** A label map that was answered, ready to be drawn: its colours, and the borders of its regions. */
export async function labelMap(answer, colours = answer.colours) {
  const [height, width] = answer.size;
  const map = await unpack(answer.map, Uint16Array);
  const background = answer.classes.indexOf("background");
  const layer = canvasOf(map, width, height, colours.map((colour, at) => (at === background ? null : rgb(colour))));
  const borders = width * height < FINE ? outlines(map, width, height) : edges(map, width, height);
  return { width, height, map, layer, borders, colours, names: answer.names, classes: answer.classes };
}

/** A cost map that was answered; `low` and `high` are the ends of the colours. */
export async function heatMap(answer, low, high) {
  const [height, width] = answer.size;
  const steps = await unpack(answer.map);
  const value = (at) => answer.low + (steps[at] / 255) * (answer.high - answer.low);
  const shade = (step) => (255 * (answer.low + (step / 255) * (answer.high - answer.low) - low)) / (high - low || 1);
  const table = HEAT.map((_, step) => HEAT[Math.max(0, Math.min(255, Math.round(shade(step))))]);
  const layer = canvasOf(steps, width, height, table);
  return { name: answer.name, width, height, value, layer, low, high };
}

/** Draw a scene: {picture, labels, heat, view, opacity, named, cross}, so many pixels wide. */
export function paint(canvas, scene, wide) {
  const source = scene.labels || scene.heat || { width: scene.picture.naturalWidth, height: scene.picture.naturalHeight };
  const scale = wide / source.width;
  canvas.width = Math.round(wide);
  canvas.height = Math.max(1, Math.round(source.height * scale));
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const all = (image, smooth) => {
    context.imageSmoothingEnabled = smooth;
    context.drawImage(image, 0, 0, width, height);
  };
  if (scene.picture) all(scene.picture, true);
  const shown = scene.heat || (scene.labels && scene.view !== "picture");
  if (!shown) return cross(context, scene, scale);
  if (scene.picture && (scene.heat || scene.view === "overlay")) { // grey, so that colours mean classes
    context.globalCompositeOperation = "saturation";
    context.fillStyle = "#808080";
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "source-over";
  }
  if (scene.heat) {
    context.globalAlpha = 0.82;
    all(scene.heat.layer, true);
    context.globalAlpha = 1;
    return cross(context, scene, scale);
  }
  if (scene.view === "map") {
    context.fillStyle = "#8c9196";
    context.fillRect(0, 0, width, height);
  }
  context.globalAlpha = scene.view === "map" ? 1 : scene.opacity;
  all(scene.labels.layer, false);
  context.globalAlpha = 1;
  if (scene.view === "map" || scene.opacity > 0.05) stroke(context, scene.labels.borders, scale);
  if (scene.named) for (const name of scene.labels.names) write(context, name, scene.labels, scale);
  cross(context, scene, scale);
}

function stroke(context, borders, scale) {
  const { width, height } = context.canvas;
  context.save();
  if (borders instanceof Path2D) {
    context.scale(scale, scale);
    context.lineWidth = Math.max(1, width / 700) / scale;
    context.strokeStyle = "rgb(255 255 255 / .8)";
    context.stroke(borders);
  } else {
    context.globalAlpha = 0.8;
    context.imageSmoothingEnabled = true;
    context.drawImage(borders, 0, 0, width, height);
  }
  context.restore();
}

function write(context, name, labels, scale) {
  const size = name.size * scale;
  const lines = name.text.split("\n");
  const background = labels.classes[name.class_index] === "background";
  const [letters, halo] = background ? ["#fff", "rgb(0 0 0 / .65)"] : ink(labels.colours[name.class_index]);
  context.save();
  context.font = `600 ${size}px system-ui, "DejaVu Sans", sans-serif`;
  const half = Math.max(...lines.map((line) => context.measureText(line).width)) / 2 + 0.15 * size;
  const inside = (at, most, room) => (2 * room > most ? most / 2 : Math.min(most - room, Math.max(room, at)));
  const { width, height } = context.canvas;
  const [x, y] = name.upright ? [name.x * scale, inside(name.y * scale, height, half)] : [inside(name.x * scale, width, half), name.y * scale];
  context.translate(x, y);
  if (name.upright) context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 0.22 * size;
  context.strokeStyle = halo;
  context.fillStyle = letters;
  lines.forEach((line, at) => {
    const y = (at - (lines.length - 1) / 2) * 1.15 * size;
    context.strokeText(line, 0, y);
    context.fillText(line, 0, y);
  });
  context.restore();
}

function cross(context, { cross }, scale) {
  if (!cross) return;
  const [x, y] = [(cross.x + 0.5) * scale, (cross.y + 0.5) * scale];
  const long = Math.max(9, context.canvas.width / 60);
  for (const [width, colour] of [[4, "rgb(0 0 0 / .6)"], [1.8, "#fff"]]) {
    context.lineWidth = (width * context.canvas.width) / 640;
    context.strokeStyle = colour;
    context.beginPath();
    for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + (a * long) / 3, y + (b * long) / 3);
      context.lineTo(x + a * long, y + b * long);
    }
    context.stroke();
  }
}
