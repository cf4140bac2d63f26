// A curve of [step, value] as a small drawing, from numbers alone.

const WIDTH = 560, HEIGHT = 130, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 20;

function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 1 ? value.toFixed(2) : value.toPrecision(3));

/** The drawing; `name` says what the values are, such as "loss". Null where there is nothing to draw. */
export function curve(points, name) {
  const right = points.filter((p) => p.every(Number.isFinite));
  if (right.length < 2) return null;
  const steps = right.map((p) => p[0]), values = right.map((p) => p[1]);
  const [first, last] = [steps[0], steps.at(-1)];
  const low = Math.min(...values), high = Math.max(...values), room = high - low || 1;
  const x = (step) => LEFT + ((step - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / room) * (HEIGHT - TOP - BOTTOM);
  const now = `${name} ${short(values.at(-1))} at step ${last}`;
  const box = svg("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${now}; from ${short(high)} to ${short(low)}` });
  box.append(
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(high), y2: y(high) }),
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(low), y2: y(low) }),
    svg("polyline", { class: "line", points: right.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ") }),
    svg("circle", { cx: x(last), cy: y(values.at(-1)), r: 3 }),
    svg("text", { x: LEFT - 5, y: y(high) + 4, "text-anchor": "end" }, short(high)),
    svg("text", { x: LEFT - 5, y: y(low) + 4, "text-anchor": "end" }, short(low)),
    svg("text", { x: LEFT, y: HEIGHT - 4 }, `step ${first}`),
    svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, now),
  );
  return box;
}
