// One cell at the side of the table: its text with what lint says while it is written, the texts of
// others, its history, and what refine proposed. A change names the text that it was made against:
// who comes second is shown both.

import { Refused, $, api, attempt, debounce, h, notice, percent } from "/assets/studio.js";

const AGAIN = 3000; // milliseconds after which the cell is looked at again
const POINTS = 2;

/** A time of the store's, to the minute, here. */
const minute = (time) => new Date(time).toLocaleString([], { dateStyle: "short", timeStyle: "short" });

/** Points of mIoU with a sign. */
const points = (share) => (share === null || share === undefined ? "-" : `${share > 0 ? "+" : ""}${percent(share, POINTS)}`);

/** Two texts as one: what only the first says is struck out, what only the second says underlined.
 * Where they share less than half, the second alone, which is read more easily. */
function marked(words) {
  const count = (...kinds) => words.filter(([what]) => kinds.includes(what)).reduce((sum, [, text]) => sum + text.split(" ").length, 0);
  if (count("same") < count("first", "second")) return words.filter(([what]) => what !== "first").map(([, text]) => text).join(" ");
  const tags = { same: "span", first: "del", second: "ins" };
  return words.map(([what, text]) => [h(tags[what], {}, text), " "]);
}

export class Editor {
  constructor(place, { onChange, onClose }) {
    this.place = place;
    this.onChange = onChange;
    this.onClose = onClose;
    this.cell = null;
    this.look = debounce(() => this.draft(), 180);
    setInterval(() => document.visibilityState === "visible" && this.watch(), AGAIN);
    window.addEventListener("focus", () => this.watch());
  }

  /** The field; null while the cell is on its way. */
  get field() {
    return this.cell && $("textarea", this.place);
  }

  get isChanged() {
    return Boolean(this.field) && this.field.value !== this.expected;
  }

  get draftKey() {
    return `text ${JSON.stringify(Object.values(this.cell))}`;
  }

  async open(cell) {
    this.keep();
    this.cell = cell;
    this.place.hidden = false;
    this.place.replaceChildren(h("p", { class: "soft working" }, "..."));
    await attempt(async () => {
      const found = await api(`/api/texts/cell?${new URLSearchParams(cell)}`);
      if (this.cell !== cell) return;
      const kept = JSON.parse(sessionStorage.getItem(this.draftKey) || "null");
      this.show(found);
      if (kept && kept.text !== this.expected) {
        this.field.value = kept.text;
        if (kept.expected !== this.expected) this.conflict(this.expected);
        else notice("What you were writing is here again.");
      }
      this.draft();
      this.field.focus();
    });
    if (this.cell === cell && !this.field) this.close();
  }

  close() {
    this.keep();
    this.cell = null;
    this.place.hidden = true;
    this.place.replaceChildren();
    this.onClose();
  }

  /** Keep what was written and not saved, for the next time that the cell is opened. */
  keep() {
    if (!this.field) return;
    if (this.isChanged) sessionStorage.setItem(this.draftKey, JSON.stringify({ text: this.field.value, expected: this.expected }));
    else sessionStorage.removeItem(this.draftKey);
  }

  /** Show a cell as the studio tells it. */
  show({ row, others, history, proposals, scores }) {
    const locked = row.locked;
    this.row = row;
    this.expected = row.text ?? "";
    const failed = row.status === "failed" || row.status === "missing";
    this.place.replaceChildren(h("div", {},
      h("header", {},
        h("h2", {}, `${row.readable}: ${row.attribute}`),
        h("button", { type: "button", class: "plain", "aria-label": "Close", onclick: () => this.close() }, "×")),
      h("p", { class: "soft" },
        `by ${row.llm}`, " · ", h("span", { class: "chip" }, row.status),
        row.source === "human" && [" ", h("span", { class: "chip" }, "a person's")],
        row.source === "import" && [" ", h("span", { class: "chip" }, "imported")],
        row.taken_from && [" ", h("span", { class: "chip" }, `taken from ${row.taken_from}`)]),
      row.review && h("p", { class: "bad" }, `For review: ${row.review}`),
      row.status === "failed" && h("p", { class: "error" }, row.reason),
      failed && row.remedy && h("p", { class: "soft" }, `Write a text here, or ${row.remedy}.`),
      h("div", { class: "clash" }),
      h("textarea", {
        rows: 4, maxlength: 2000, "aria-label": "Text", "aria-describedby": "counter said",
        oninput: () => { this.keep(); this.look(); },
        onkeydown: (event) => {
          if (event.key !== "Enter" || event.isComposing) return;
          if (event.ctrlKey || event.metaKey) this.save();
          event.preventDefault(); // a text is one line
        },
      }),
      h("p", { class: "row" }, h("span", { id: "counter", class: "counter soft" }), h("span", { class: "soft" }, "Ctrl+Enter saves")),
      h("div", { id: "said", "aria-live": "polite" }),
      h("p", { class: "row" },
        h("button", { type: "button", class: "primary save", onclick: () => this.save() }, "Save and lock"),
        h("button", { type: "button", class: "lock", disabled: row.text === null || failed, onclick: () => this.act("lock", { locked: !locked }) }, locked ? "Unlock" : "Lock"),
        h("button", { type: "button", class: "undo", disabled: !history.length, onclick: () => this.act("undo", { expected: this.expected }) }, "Undo"),
        h("label", { class: "line force", hidden: true }, h("input", { type: "checkbox" }), "take it all the same")),
      this.theirs(others), this.past(history), this.proposed(proposals), this.scored(scores),
    ));
    this.field.value = this.expected;
    $(".force input", this.place).addEventListener("change", () => this.allow());
  }

  theirs(others) {
    if (!others.length) return null;
    return [h("h2", {}, "Other texts of it"), others.map((one) =>
      h("div", { class: "other" },
        h("p", { class: "soft" }, one.writer.replace(/#1$/, ""), ` · ${one.tokens} tokens `, one.findings.length ? "· lint " : "",
          h("button", { type: "button", class: "take", onclick: () => this.act("take", { writer: one.writer, expected: this.expected }) }, "Take it")),
        h("p", {}, marked(one.words))))];
  }

  past(history) {
    if (!history.length) return null;
    return [h("h2", {}, "History"), history.map((one) =>
      h("div", { class: "other" },
        h("p", { class: "soft" }, `${minute(one.edited_at)} · ${one.action ?? "edit"} `,
          h("button", { type: "button", class: "back", onclick: () => this.act("undo", { before: one.id, expected: this.expected }) }, "Back to before")),
        h("p", {}, h("del", {}, one.old_text ?? "(nothing)")),
        h("p", {}, h("ins", {}, one.new_text ?? "(nothing)"))))];
  }

  proposed(proposals) {
    if (!proposals.length) return null;
    return [h("h2", {}, "What refine proposed for the class"), proposals.map((one) =>
      h("div", { class: "other" },
        h("p", { class: "soft" },
          h("span", { class: one.kept ? "chip good" : "chip" }, one.kept ? "kept" : "turned down"),
          ` ${one.run}, round ${one.round}, ${one.loop} · ${one.proposer}: ${one.recipe}`),
        one.confused.map((pair) => h("p", { class: "soft" }, `${pair.label} was taken for ${pair.predicted}: ${pair.pixels} pixels, ${points(pair.gain)} points if mended`)),
        h("p", { class: "soft" }, `alone ${points(one.gain)} points of mIoU where it was proposed, ${points(one.decided)} where it was decided`,
          one.round_gain !== null && `; all that the round kept ${points(one.round_gain)} [${points(one.round_low)}, ${points(one.round_high)}]`),
        one.before && h("p", {}, h("del", {}, one.before.join(" | "))),
        one.texts.map((text) => h("p", {}, h("ins", {}, text), " ",
          h("button", { type: "button", class: "use", onclick: () => this.put(text) }, "Into the editor")))))];
  }

  scored(scores) {
    if (!scores.length) return null;
    return [h("h2", {}, "Scores of the class"), h("ul", {}, scores.map((one) =>
      h("li", {}, `${percent(one.iou)} % IoU with ${one.prompts} in ${one.run} (${one.benchmark}), ${percent(one.baseline)} % with its name: ${points(one.difference)}`,
        one.low === null ? one.no_interval && ` (no interval: ${one.no_interval})` : ` [${points(one.low)}, ${points(one.high)}]`)))];
  }

  put(text) {
    this.field.value = text;
    this.keep();
    this.draft();
    this.field.focus();
  }

  /** Ask what an edit would say of the text so far. */
  async draft() {
    const { cell, field } = this;
    if (!field) return;
    const text = field.value;
    const said = await attempt(() => api("/api/texts/draft", { ...cell, text }));
    if (!said || this.cell !== cell || this.field?.value !== text) return;
    this.said = said;
    const counter = $("#counter", this.place);
    counter.textContent = `${said.tokens} of ${said.limit} ${said.unit}`;
    counter.classList.toggle("over", said.tokens > said.limit);
    const isNew = this.isChanged;
    const refused = isNew ? (said.refused || "").replace(/ \(--force takes it as it is\)|, or name a larger --budget/g, "") : "";
    const notes = said.findings.filter((one) => !(refused && (one.rule === "tokens" || refused.includes(one.message))));
    $("#said", this.place).replaceChildren(h("div", {}, refused && h("p", { class: "error" }, refused),
      notes.length > 0 && h("ul", {}, notes.map((one) => h("li", { class: "bad" }, one.message)))));
    $(".force", this.place).hidden = !(isNew && said.refused && said.forced);
    this.allow();
  }

  allow() {
    const { said } = this;
    const forced = said?.forced && $(".force input", this.place).checked;
    $(".save", this.place).disabled = Boolean(said?.refused) && !forced;
  }

  async save() {
    const { cell, field } = this;
    if (!field) return;
    const text = field.value.trim().split(/\s+/).join(" ");
    const force = $(".force input", this.place).checked && !$(".force", this.place).hidden;
    await this.send("edit", { text, force, expected: this.expected }, () => notice("Saved and locked."), cell);
  }

  /** Take, undo or lock; what was being written stays beside it. */
  async act(what, more) {
    const { cell } = this;
    const writing = this.isChanged ? this.field.value : null;
    await this.send(what, more, () => {
      if (writing === null || writing === this.expected) return;
      if (what === "lock") this.field.value = writing;
      else this.conflict(this.expected, writing);
      this.keep();
    }, cell);
  }

  async send(what, more, after, cell) {
    const buttons = [...this.place.querySelectorAll("button")];
    const able = buttons.filter((button) => !button.disabled);
    able.forEach((button) => (button.disabled = true));
    this.isSending = true;
    try {
      const found = await api(`/api/texts/${what}`, { ...cell, ...more });
      if (this.cell === cell) {
        sessionStorage.removeItem(this.draftKey);
        this.show(found);
        after();
        this.draft();
        this.field.focus();
      }
      this.onChange();
    } catch (error) {
      if (this.cell === cell) able.forEach((button) => (button.disabled = false));
      if (error instanceof Refused && error.status === 409 && error.answer.text !== undefined && this.cell === cell) this.conflict(error.answer.text);
      else notice(error.message, "error");
    } finally {
      this.isSending = false;
    }
  }

  /** Another text stands there now: show both, and let a person choose. */
  conflict(theirs, mine = this.field.value) {
    this.expected = theirs;
    const done = () => $(".clash", this.place).replaceChildren();
    const take = () => { this.put(theirs); done(); };
    const keep = () => { this.put(mine); done(); this.save(); };
    this.field.value = mine;
    this.keep();
    $(".clash", this.place).replaceChildren(h("div", { class: "conflict", role: "alert" },
      h("p", {}, h("b", {}, "Another text stands here by now.")),
      h("p", { class: "soft" }, "There:"), h("p", { class: "there" }, theirs || "(nothing)"),
      h("p", { class: "soft" }, "Yours, not saved:"), h("p", { class: "yours" }, mine),
      h("p", { class: "row" },
        h("button", { type: "button", class: "keep-there", onclick: take }, "Leave that one"),
        h("button", { type: "button", class: "keep-mine", onclick: keep }, "Save mine in its place"))));
    $(".conflict", this.place).scrollIntoView({ block: "nearest" });
    this.draft();
  }

  /** Whether somebody else has changed the cell meanwhile. */
  async watch() {
    const { cell, field, expected } = this;
    if (!field || this.watching || this.isSending) return;
    this.watching = true;
    try {
      const now = await api(`/api/texts/now?${new URLSearchParams(cell)}`);
      if (this.cell !== cell || this.expected !== expected || this.field !== field) return;
      if (now.text === expected && now.locked === this.row.locked) return;
      const writing = this.isChanged ? field.value : null;
      const found = await api(`/api/texts/cell?${new URLSearchParams(cell)}`);
      if (this.cell !== cell || this.field !== field || this.isSending) return;
      const typed = this.isChanged ? field.value : writing;
      this.show(found);
      if (typed !== null && typed !== this.expected) {
        if (this.expected !== expected) this.conflict(this.expected, typed);
        else this.field.value = typed;
      } else if (this.expected !== expected) notice("This cell was changed elsewhere: it is shown as it is now.");
      this.draft();
      this.onChange();
    } catch {
      // The studio may be gone for a moment: the next look tells.
    } finally {
      this.watching = false;
    }
  }
}
