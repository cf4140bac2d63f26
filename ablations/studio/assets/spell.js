import { attempt, h, notice } from "/assets/studio.js";

/** Fill an element with a command, whose words stay whole where a line ends. */
export function spell(element, command) {
  element.classList.add("words");
  element.replaceChildren(...command.split(" ").flatMap((word, at) => (at ? [" ", h("span", {}, word)] : [h("span", {}, word)])));
}

/** Copy a text, also where the page is not from this machine and the browser has no clipboard for it. */
export const copy = (text) => attempt(async () => {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else {
    const box = h("textarea", { class: "hidden" });
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  notice("Copied.");
});
