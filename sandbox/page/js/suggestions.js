// The list above the composer: commands, choices, people. One at a time; the field keeps the focus and steers it by keys.
// Knows rows and the active one; must never know what a row stands for.

import { fill, freshId, h } from "./dom.js";

export class Suggestions {
  #rows = [];
  #active = -1;
  #choose = null;
  #field = null;
  #id = freshId("suggestions");

  constructor() {
    this.title = h("div", { class: "suggest-title" });
    this.list = h("div", { class: "suggest-list", role: "listbox", id: this.#id, "aria-label": "Suggestions" });
    this.element = h("div", { class: "suggest", hidden: true }, this.title, this.list);
    this.element.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
  }

  get open() {
    return !this.element.hidden;
  }

  get active() {
    return this.#rows[this.#active] ?? null;
  }

  /** Shows rows for a field: [{label, detail?, hint?, lead?}]; `choose(row)` is called for a pick; `note` stands where nothing fits. */
  show({ field, title, rows, choose, note = null, first = true }) {
    const keep = this.open && this.#field === field ? this.active?.label : null;
    this.#rows = rows;
    this.#choose = choose;
    this.#field = field;
    const kept = keep ? rows.findIndex((row) => row.label === keep) : -1;
    this.#active = kept >= 0 && !first ? kept : first && rows.length ? 0 : -1;
    this.element.hidden = !rows.length && !note;
    fill(this.title, title);
    fill(this.list, rows.length ? rows.map((row, index) => this.#row(row, index)) : h("div", { class: "suggest-note" }, note));
    field.setAttribute("aria-controls", this.#id);
    field.setAttribute("aria-expanded", String(this.open));
    this.#mark();
  }

  hide() {
    this.element.hidden = true;
    this.#rows = [];
    this.#active = -1;
    this.#field?.setAttribute("aria-expanded", "false");
    this.#field?.removeAttribute("aria-activedescendant");
  }

  /** Handles a key of the field; true when it was used. Enter and Tab choose the active row. */
  key(event) {
    if (!this.open) return false;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6 }[event.key];
    if (step && this.#rows.length) {
      const count = this.#rows.length;
      this.#active = Math.abs(step) === 1 ? (this.#active + step + count) % count : Math.max(0, Math.min(count - 1, this.#active + step));
      this.#mark();
      return true;
    }
    if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && this.active) {
      this.#choose(this.active);
      return true;
    }
    return false;
  }

  #row(row, index) {
    return h("div", {
      class: "suggest-row", role: "option", id: `${this.#id}-${index}`, "aria-selected": "false",
      onclick: () => this.#choose(row), onpointermove: () => { if (this.#active !== index) { this.#active = index; this.#mark(); } },
    }, row.lead, h("span", { class: "suggest-words" }, h("span", { class: "suggest-label" }, row.label, row.chips), row.detail && h("span", { class: "suggest-detail" }, row.detail)),
    row.hint && h("span", { class: "suggest-hint" }, row.hint));
  }

  #mark() {
    [...this.list.children].forEach((element, index) => {
      element.classList.toggle("active", index === this.#active);
      if (element.role === "option") element.setAttribute("aria-selected", String(index === this.#active));
      if (index === this.#active) element.scrollIntoView({ block: "nearest" });
    });
    if (this.#active >= 0) this.#field?.setAttribute("aria-activedescendant", `${this.#id}-${this.#active}`);
    else this.#field?.removeAttribute("aria-activedescendant");
  }
}
