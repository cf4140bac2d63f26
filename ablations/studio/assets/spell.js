import { h } from "/assets/studio.js";

/** Fill an element with a command, whose words stay whole where a line ends. */
export function spell(element, command) {
  element.classList.add("words");
  element.replaceChildren(...command.split(" ").flatMap((word, at) => (at ? [" ", h("span", {}, word)] : [h("span", {}, word)])));
}
