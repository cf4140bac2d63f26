// One of the two prompt sets: what it is made of, and what that gives.

import { api, debounce, h, notice } from "/assets/studio.js";

const KINDS = { attributes: "Attributes", name: "Plain name", run: "A run's prompts", own: "A file of your own" };
const text = (value) => (typeof value === "string" ? value : "");

/** What of a description from the address can be meant: only known fields, only texts. */
export function clean(given) {
  const from = given !== null && typeof given === "object" ? given : {};
  const kind = Object.keys(KINDS).includes(from.kind) ? from.kind : "name";
  if (kind === "name") return { kind, template: text(from.template) || "name" };
  if (kind === "run") return { kind, run: text(from.run), file: text(from.file) };
  if (kind === "own") return { kind, own: text(from.own), label: text(from.label) };
  const attributes = Array.isArray(from.attributes) ? from.attributes.filter((one) => typeof one === "string") : [];
  return {
    kind,
    attributes,
    composition: text(from.composition) || "concat",
    llm: text(from.llm),
    control: text(from.control) || null,
  };
}

/** What the library takes of it; null as long as something has to be chosen. */
export function wanted(spec) {
  if (spec.kind === "attributes" && !spec.attributes.length) return null;
  if (spec.kind === "run" && !(spec.run && spec.file)) return null;
  if (spec.kind === "own" && !spec.own) return null;
  return spec;
}

/** A panel in which a prompt set is chosen; `onChange` is called when it is another one. */
export class Chooser {
  constructor(panel, title, choices, spec, onChange) {
    Object.assign(this, { panel, title, choices, onChange, memory: {} });
    this.told = h("p", { class: "told soft", role: "status" });
    this.asked = 0;
    this.describe = debounce(() => this.check(), 120);
    this.show(spec);
  }

  show(spec) {
    this.spec = clean(spec);
    this.memory[this.spec.kind] = this.spec;
    this.draw();
    this.check();
  }

  change(fields) {
    this.spec = clean({ ...this.spec, ...fields });
    this.memory[this.spec.kind] = this.spec;
    this.draw();
    this.describe();
    this.onChange();
  }

  /** Another kind, with what was chosen of it before. */
  turn(kind) {
    const { llm, runs } = this.choices;
    const fresh = {
      attributes: { kind, attributes: [], llm },
      name: { kind },
      run: { kind, run: runs[0]?.name, file: runs[0]?.files[0] },
      own: { kind },
    };
    this.change(this.memory[kind] || fresh[kind]);
  }

  draw() {
    const focused = this.panel.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const kinds = Object.entries(KINDS).map(([kind, name]) => h("option", { value: kind, selected: kind === this.spec.kind }, name));
    const kind = h("select", { "data-key": "kind", "aria-label": `${this.title}: made of`, onchange: (e) => this.turn(e.target.value) }, kinds);
    this.panel.replaceChildren(h("h2", {}, this.title), kind, ...this[this.spec.kind](), this.told);
    if (focused) this.panel.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  select(key, label, options, chosen, name = (one) => one) {
    const there = options.includes(chosen) ? options : [...options, chosen];
    const made = there.map((one) => h("option", { value: one ?? "", selected: one === chosen }, name(one)));
    return h("label", {}, label, h("select", { "data-key": key, onchange: (e) => this.change({ [key]: e.target.value || null }) }, made));
  }

  attributes() {
    const { llms, classes, compositions, controls } = this.choices;
    const { attributes, llm } = this.spec;
    const counts = new Map(Object.entries(llms.find((one) => one.name === llm)?.attributes ?? {}));
    const toggle = (name) =>
      this.change({ attributes: attributes.includes(name) ? attributes.filter((one) => one !== name) : [...attributes, name] });
    const named = [...new Set([...counts.keys(), ...attributes])];
    const checks = named.map((name) => {
      const count = counts.get(name) ?? 0;
      const box = h("input", { type: "checkbox", "data-key": `a ${name}`, checked: attributes.includes(name), onchange: () => toggle(name) });
      return h("label", {}, box, name, count < classes ? h("span", { class: "soft" }, `${count} of ${classes}`) : null);
    });
    const several = attributes.length > 1;
    return [
      h("fieldset", {}, h("legend", {}, several ? `Attributes, in this order: ${attributes.join(", ")}` : "Attributes"), h("div", { class: "checks" }, checks)),
      h("div", { class: "row" },
        several ? this.select("composition", "Composition", compositions, this.spec.composition) : null,
        this.select("llm", "Written by", llms.map((one) => one.name), llm),
        this.select("control", "Control", [null, ...controls], this.spec.control, (one) => one ?? "none")),
    ];
  }

  name() {
    return [h("p", {}, this.select("template", "Template", this.choices.templates, this.spec.template))];
  }

  run() {
    const { runs } = this.choices;
    if (!runs.length) return [h("p", { class: "soft" }, "There are no runs with prompts yet.")];
    const { run, file } = this.spec;
    const titles = new Map(runs.map((one) => [one.name, `${one.name}: ${one.title}`]));
    const names = runs.map((one) => one.name);
    const chosen = runs.find((one) => one.name === run);
    const options = (names.includes(run) ? names : [...names, run]).map((one) => h("option", { value: one, selected: one === run }, titles.get(one) ?? (one || "choose")));
    const pick = (e) => this.change({ run: e.target.value, file: runs.find((one) => one.name === e.target.value)?.files[0] });
    return [
      h("div", { class: "row" },
        h("label", {}, "Run", h("select", { "data-key": "run", onchange: pick }, options)),
        this.select("file", "Prompts", chosen?.files ?? [], file)),
    ];
  }

  own() {
    const format = h("select", { "data-key": "format" }, this.choices.formats.map((one) => h("option", { value: one }, one)));
    const input = h("input", { type: "file", "data-key": "file", class: "hidden", accept: ".json,.py,.txt,.csv", onchange: () => this.send(input.files[0], format.value) });
    const place = h("label", { class: "line" }, h("span", { class: "button" }, "Choose a file, or drop one here"), input);
    this.panel.ondragover = (event) => event.preventDefault();
    this.panel.ondrop = (event) => {
      event.preventDefault();
      if (this.spec.kind === "own" && event.dataTransfer.files.length) this.send(event.dataTransfer.files[0], format.value);
    };
    return [
      h("div", { class: "row" }, place, h("label", {}, "Format", format)),
      this.spec.label ? h("p", {}, this.spec.label) : null,
    ].filter(Boolean);
  }

  async send(file, format) {
    if (!file) return;
    try {
      const query = new URLSearchParams({ name: file.name, format });
      const got = await api(`/api/compare/own?${query}`, file);
      this.change({ own: got.own, label: got.file });
    } catch (error) {
      notice(error.message, "error");
    }
  }

  /** Ask what the set is; only the last answer counts. */
  async check() {
    const asked = ++this.asked;
    const spec = wanted(this.spec);
    this.error = null;
    if (spec === null) return this.tell("Choose what it is made of.");
    try {
      const about = await api("/api/compare/set", { set: spec });
      if (asked === this.asked) this.tell(said(about));
    } catch (error) {
      if (asked === this.asked) this.tell((this.error = error.message));
    }
  }

  tell(words) {
    this.told.textContent = words;
    this.told.classList.toggle("error", Boolean(this.error));
  }
}

function said(about) {
  const parts = [`${about.classes} classes, ${about.texts} texts`];
  if (about.llm !== "none") parts.push(`by ${about.llm}`);
  if (about.shortened) parts.push(`${about.shortened} shortened`);
  if (about.undescribed) parts.push(`${about.undescribed} with their plain name, for want of descriptions`);
  return `${about.name}: ${parts.join(", ")}.`;
}
