// The lines of phrases: typed with suggestions, by keyboard or pointer.

import { h } from "/assets/studio.js";

const MOST = 8; // suggestions

/** Names that fit what is typed: those that begin so, then those with a word that does, then the rest. */
export function suggestions(all, typed) {
  const text = typed.trim().toLowerCase();
  if (!text) return [];
  const found = [[], [], []];
  for (const one of all) {
    const name = one.name.toLowerCase();
    if (name === text) return [];
    const at = name.indexOf(text);
    if (at === 0) found[0].push(one);
    else if (at > 0) found[" -,(".includes(name[at - 1]) ? 1 : 2].push(one);
  }
  for (const some of found) some.sort((a, b) => b.own - a.own || b.count - a.count || a.name.length - b.name.length);
  return found.flat().slice(0, MOST);
}

export class Phrases {
  /**
   * tell: {onEdit(), onPoint(row or null), limit, unit}. `names` are suggested, once they are set.
   */
  constructor(list, popup, tell) {
    Object.assign(this, { list, popup, tell, names: [], active: -1 });
    list.addEventListener("pointerleave", () => this.point(null));
    list.addEventListener("scroll", () => this.close());
    addEventListener("scroll", () => this.close(), { passive: true });
  }

  get rows() { return [...this.list.children]; }
  get lines() { return this.rows.map((row) => row.input.value); }

  set(lines) {
    this.pinned = null;
    this.list.replaceChildren(...(lines.length ? lines : [""]).map((line) => this.row(line)));
  }

  row(line) { // by keyboard: Backspace removes an empty line, and a focused one shows its cost map
    const swatch = h("button", { class: "swatch", type: "button", tabindex: "-1", "aria-pressed": "false", title: "Keep its cost map in view", "aria-label": "Keep the cost map of this phrase in view" });
    const input = h("input", {
      value: line, role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "options",
      "aria-label": "Phrase", autocomplete: "off", spellcheck: "false", autocapitalize: "off", maxlength: 4000,
    });
    const share = h("span", { class: "share n" });
    const tokens = h("span", { class: "tokens n" });
    const drop = h("button", { class: "plain drop", type: "button", tabindex: "-1", "aria-label": "Remove this phrase", title: "Remove" }, "×");
    const behind = h("div", { class: "behind" });
    const row = Object.assign(h("li", { class: "phrase" }, swatch, input, share, tokens, drop, behind), { swatch, input, share, tokens, behind });
    input.addEventListener("input", () => { this.point(null); this.suggest(row); this.tell.onEdit(); });
    input.addEventListener("keydown", (event) => this.key(event, row));
    input.addEventListener("paste", (event) => this.paste(event, row));
    input.addEventListener("focus", () => { if (input.matches(":focus-visible") && !this.typing) this.point(row); });
    input.addEventListener("blur", () => { this.close(); this.point(null); });
    row.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") this.point(row); });
    drop.addEventListener("click", () => this.remove(row));
    swatch.addEventListener("click", (event) => {
      this.pinned = this.pinned === row ? null : row;
      this.point(event.pointerType === "mouse" ? row : null);
    });
    return row;
  }

  /** Show a row's cost map; none: that of the row that is kept in view. */
  point(row) {
    if (this.pinned && !this.pinned.isConnected) this.pinned = null;
    const shown = row ?? this.pinned ?? null;
    for (const one of this.rows) {
      one.classList.toggle("shown", one === shown);
      one.swatch.setAttribute("aria-pressed", one === this.pinned);
    }
    this.tell.onPoint(shown);
  }

  /** A new line below a row, or at the end. */
  insert(after, line = "") {
    const row = this.row(line);
    if (after) after.after(row);
    else this.list.append(row);
    return row;
  }

  focus(row) {
    this.typing = true; // what follows is typed here: the map stays in view, not this phrase's own
    row.input.focus();
    this.typing = false;
    row.scrollIntoView({ block: "nearest" });
  }

  remove(row) {
    const near = row.previousElementSibling ?? row.nextElementSibling;
    row.remove();
    if (!this.list.children.length) this.insert(null);
    this.focus(near ?? this.list.firstElementChild);
    this.point(null);
    this.tell.onEdit();
  }

  key(event, row) {
    const { key } = event, open = !this.popup.hidden;
    const move = (step) => {
      const next = step < 0 ? row.previousElementSibling : row.nextElementSibling;
      if (next) next.input.focus();
    };
    if (event.isComposing) return;
    if (open && (key === "ArrowDown" || key === "ArrowUp")) this.choose(this.active + (key === "ArrowDown" ? 1 : -1), row);
    else if (key === "ArrowDown") move(1);
    else if (key === "ArrowUp") move(-1);
    else if (key === "Escape" && open) this.close();
    else if (key === "Enter" && open && this.active >= 0) this.accept(row, this.offered[this.active]);
    else if (key === "Enter") { this.close(); this.focus(this.insert(row)); }
    else if (key === "Backspace" && !row.input.value && this.rows.length > 1) this.remove(row);
    else return;
    event.preventDefault();
  }

  paste(event, row) {
    const lines = event.clipboardData.getData("text").split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
    if (lines.length < 2) return;
    event.preventDefault();
    const input = row.input;
    input.setRangeText(lines.shift(), input.selectionStart, input.selectionEnd, "end");
    let last = row;
    for (const line of lines) last = this.insert(last, line);
    this.focus(last);
    this.tell.onEdit();
  }

  suggest(row) {
    this.offered = row.input.value.includes(":") ? [] : suggestions(this.names, row.input.value);
    this.active = -1;
    if (!this.offered.length) return this.close();
    this.popup.replaceChildren(...this.offered.map((one, at) => h("div", {
      role: "option", id: `option-${at}`, "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); this.accept(row, one); },
    }, h("span", {}, one.name), h("span", {}, one.from))));
    const box = row.input.getBoundingClientRect();
    const below = innerHeight - box.bottom > 220 || box.top < 220;
    Object.assign(this.popup.style, {
      left: `${box.left}px`, width: `${Math.max(box.width, Math.min(260, innerWidth - box.left - 8))}px`,
      top: below ? `${box.bottom + 3}px` : "auto", bottom: below ? "auto" : `${innerHeight - box.top + 3}px`,
    });
    this.popup.hidden = false;
    row.input.setAttribute("aria-expanded", "true");
  }

  choose(at, row) {
    this.active = (at + this.offered.length + 1) % (this.offered.length + 1);
    if (this.active === this.offered.length) this.active = -1;
    [...this.popup.children].forEach((one, place) => one.setAttribute("aria-selected", place === this.active));
    if (this.active < 0) row.input.removeAttribute("aria-activedescendant");
    else row.input.setAttribute("aria-activedescendant", `option-${this.active}`);
  }

  accept(row, one) {
    row.input.value = one.name;
    this.close();
    this.tell.onEdit();
  }

  close() {
    if (this.popup.hidden) return;
    this.popup.hidden = true;
    this.active = -1;
    for (const row of this.rows) {
      row.input.setAttribute("aria-expanded", "false");
      row.input.removeAttribute("aria-activedescendant");
    }
  }

  /** What is known of each phrase: its colour, share or IoU, tokens, and the texts behind it. */
  show(phrases, about) {
    const told = new Map(phrases.map((one) => [one.place, one]));
    this.rows.forEach((row, place) => {
      const one = told.get(place), { colour = null, share = null } = one && !one.said ? about(one) : {};
      row.phrase = one;
      row.swatch.style.background = colour ?? "";
      row.share.textContent = share === null ? "" : share < 0.0005 ? "·" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
      row.share.title = share === null ? "" : "Its part of the picture";
      row.tokens.textContent = one ? one.tokens : "";
      row.tokens.title = one ? `${one.tokens} of ${this.tell.limit} ${this.tell.unit}` : "";
      row.behind.textContent = !one ? "" : one.said ? `Left out: ${one.said}` : one.texts.join(" · ");
      row.behind.title = one ? one.texts.join("\n") : "";
      row.classList.toggle("absent", Boolean(one) && !share);
      row.classList.toggle("out", Boolean(one?.said));
      row.classList.toggle("over", Boolean(one) && one.tokens > this.tell.limit);
    });
  }
}
