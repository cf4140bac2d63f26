// What all pages share. Texts come from language models, files and users: they only ever become text
// nodes, never HTML.

/** The first element that a selector finds. */
export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: h("td", {class: "n", onclick: f, "aria-label": "x"}, "text", child, [more]). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An error that the studio answered; `answer` holds its other fields. */
export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error);
    this.status = status;
    this.answer = answer;
  }
}

/** GET without a body, POST with one: an object becomes JSON, a Blob is sent as it is. */
export async function api(path, body, { signal } = {}) {
  const raw = body instanceof Blob;
  const options = { signal, headers: {} };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["content-type"] = raw ? "application/octet-stream" : "application/json";
    options.body = raw ? body : JSON.stringify(body);
  }
  let reply;
  try {
    reply = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { error: "The studio does not answer: is its command still running?" });
  }
  const text = await reply.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    const asked = reply.status === 401 ? "The studio was started anew: open the address that it printed." : text;
    answer = { error: asked };
  }
  if (!reply.ok) throw new Refused(reply.status, answer);
  return answer;
}

/** Say something at the edge of the page; errors stay until they are closed. */
export function notice(text, kind = "") {
  const close = h("button", { class: "plain", "aria-label": "Close", onclick: () => box.remove() }, "×");
  const box = h("div", { class: `notice ${kind}` }, h("span", {}, String(text)), close);
  const all = $("#notices");
  all.append(box);
  while (all.children.length > 4) all.firstChild.remove();
  if (kind !== "error") setTimeout(() => box.remove(), 6000);
}

/** Run something; what goes wrong is said. Gives undefined then. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") notice(error.message, "error");
    return undefined;
  }
}

/** A function that waits until it was not called for so many milliseconds. */
export function debounce(work, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}

export const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Ask after a task until it is over; gives its result, throws what went wrong. */
export async function follow(task, onProgress = () => {}) {
  let now = task;
  while (now.state === "running") {
    onProgress(now);
    await wait(300);
    now = await api(`/api/tasks/${encodeURIComponent(now.id)}`);
  }
  onProgress(now);
  if (now.state === "failed") throw new Refused(409, { error: now.error });
  return now.state === "done" ? now.result : null;
}

/** 0.123 as "12.3". */
export const percent = (share, digits = 1) => (share === null || share === undefined ? "-" : (100 * share).toFixed(digits));

/** A name of prompts, which may break after "+" and "(" only: "ensemble(color+shape)". */
export const breakable = (name) => String(name).split(/(?<=[+(])/).flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part]));

/** Remember a page's choices in the address, so that a reload finds them again. */
export function remember(values) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

/** Say in the header which model answers, once it is loaded. */
export async function untilReady() {
  const place = $("#model");
  for (;;) {
    const now = await api("/api/ready");
    if (now.ready) {
      place.textContent = now.name;
      place.classList.remove("working");
      return now;
    }
    place.textContent = `loading ${now.model} ...`;
    place.classList.add("working");
    await wait(300);
  }
}
