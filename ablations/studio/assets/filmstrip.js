// Pictures in a line, and a picture of one's own: dropped, pasted, or chosen as a file.

import { $, h } from "/assets/studio.js";

/** A picture of the strip. */
export const tile = (title, src, onclick) =>
  h("button", { type: "button", title, onclick }, h("img", { src, alt: title, width: "52", height: "52", loading: "lazy", decoding: "async" }));

/** Say beside a picture of one's own what the model does not know. */
export const warn = (own) => { const said = $("#drawings"); if (said) said.hidden = !own; };

/** Call `take(file)` for a picture that is dropped anywhere on the page, pasted, or chosen with `input`. */
export function receive(input, take) {
  input.onchange = () => { const [file] = input.files; input.value = ""; if (file) take(file); };
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); take(file); }
  });
  let inside = 0; // a dragged file enters and leaves every element of the page
  const files = (event) => event.dataTransfer.types.includes("Files");
  const show = (on) => document.body.classList.toggle("dropping", on);
  document.addEventListener("dragenter", (event) => { if (files(event)) { inside++; show(true); } });
  document.addEventListener("dragleave", (event) => { if (files(event) && --inside <= 0) { inside = 0; show(false); } });
  document.addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    inside = 0;
    show(false);
    if (!files(event) || event.defaultPrevented) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}
