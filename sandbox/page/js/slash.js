// A command being filled in: one pill per option, with choices, autocompletion and checks as Discord's client does them.
// Knows focus order and when a command may be sent; must never send it itself.

import { readOption, TYPE, TYPE_WORDS } from "./commands.js";
import { fill, h } from "./dom.js";
import { readFile } from "./files.js";
import { icon } from "./icons.js";
import { channelItems, peopleItems, roleItems } from "./selects.js";

const DEBOUNCE = 160;

export class SlashForm {
  #context;
  #pills = [];
  #asked = 0;
  #timer = 0;

  /** `context`: {entry, store, suggestions, complete(options, focused), send(options), cancel(text)}. */
  constructor(context) {
    this.#context = context;
    const { entry } = context;
    this.pillBox = h("div", { class: "pills" });
    this.more = h("div", { class: "pill-more" });
    this.note = h("div", { class: "slash-note", role: "status", "aria-live": "polite" });
    this.element = h("div", { class: "slash", role: "group", tabindex: "-1", "aria-label": `Command ${entry.path}` },
      h("div", { class: "slash-line" }, h("button", { type: "button", class: "slash-name", title: "Leave this command", "aria-label": `/${entry.path}, leave this command`, onclick: () => this.#leave() }, `/${entry.path}`, icon("close")), this.pillBox, this.more),
      this.note);
    for (const option of entry.options.filter((one) => one.required)) this.#add(option);
    this.#drawMore();
    this.#explain(null);
  }

  /** Puts the keyboard where something is missing; `text` is typed into it. */
  begin(text = "") {
    if (!this.#pills.length && text.trim() && this.#context.entry.options.length) this.#add(this.#context.entry.options[0]);
    const first = this.#pills.find((pill) => !this.#value(pill).value) ?? this.#pills[0];
    if (!first) {
      this.element.focus();
      return;
    }
    first.field.focus();
    if (text && first.option.type !== TYPE.ATTACHMENT) {
      first.field.value = text;
      this.#typed(first);
    }
  }

  /** Sends the command, or shows what is missing. */
  submit() {
    const options = {};
    for (const pill of this.#pills) {
      const read = this.#value(pill);
      if (read.error) {
        this.#complain(pill, read.error);
        pill.field.focus();
        return;
      }
      if (read.value !== undefined) options[pill.option.name] = read.value;
    }
    this.#context.suggestions.hide();
    this.#context.send(options);
  }

  /** Handles a key anywhere in the form; true when used. */
  key(event) {
    const pill = this.#pills.find((one) => one.field === event.target);
    const { suggestions } = this.#context;
    if (event.key === "Escape") {
      if (suggestions.open) suggestions.hide();
      else this.#leave();
      return true;
    }
    if (pill && suggestions.key(event)) return true;
    if (event.key === "Enter" && event.target.tagName !== "BUTTON") {
      this.submit();
      return true;
    }
    if (event.key === "Backspace" && event.target === this.element) {
      this.#leave();
      return true;
    }
    if (!pill) return false;
    if (event.key === "Tab") return this.#tab(pill, event.shiftKey ? -1 : 1);
    if (event.key === "Backspace" && !pill.field.value && pill.option.type !== TYPE.ATTACHMENT) {
      this.#back(pill);
      return true;
    }
    return false;
  }

  #add(option) {
    const file = option.type === TYPE.ATTACHMENT;
    const field = h("input", file ? { type: "file", class: "pill-field file" } : {
      type: "text", class: "pill-field", role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      enterkeyhint: "send", inputmode: option.type === TYPE.INTEGER ? "numeric" : option.type === TYPE.NUMBER ? "decimal" : null, placeholder: TYPE_WORDS[option.type] ?? "",
    });
    field.setAttribute("aria-label", `${option.name}${option.required ? ", required" : ", optional"}: ${option.description}`);
    const element = h("label", { class: option.required ? "pill required" : "pill" }, h("span", { class: "pill-name" }, option.name, option.required && h("span", { class: "star", "aria-hidden": "true" }, "*")), field);
    const pill = { option, field, element, chosen: null };
    field.addEventListener("input", () => this.#typed(pill));
    field.addEventListener("change", () => { if (file) this.#filed(pill); });
    field.addEventListener("focus", () => { this.#explain(pill); this.#suggest(pill); });
    field.addEventListener("blur", () => this.#left(pill));
    this.#pills.push(pill);
    this.pillBox.append(element);
    this.#fit(pill);
    return pill;
  }

  #drawMore() {
    const left = this.#context.entry.options.filter((option) => !this.#pills.some((pill) => pill.option === option));
    fill(this.more, left.map((option) => h("button", { type: "button", class: "pill-add", title: option.description, "aria-label": `Add option ${option.name}: ${option.description}`, onclick: () => {
      const pill = this.#add(option);
      this.#drawMore();
      pill.field.focus();
    } }, icon("plus"), option.name)));
  }

  #value(pill) {
    return readOption(pill.option, pill.field.type === "file" ? "" : pill.field.value, pill.chosen);
  }

  #typed(pill) {
    pill.chosen = null;
    this.#clear(pill);
    this.#fit(pill);
    this.#suggest(pill);
  }

  async #filed(pill) {
    try {
      const file = pill.field.files[0];
      pill.chosen = file ? { value: await readFile(file), name: file.name } : null;
      this.#clear(pill);
    } catch (error) {
      this.#complain(pill, error.message);
    }
  }

  #fit(pill) {
    if (pill.field.type !== "file") pill.field.style.setProperty("width", `${Math.max(pill.field.placeholder.length, Math.min(40, pill.field.value.length)) + 2}ch`);
  }

  #suggest(pill) {
    clearTimeout(this.#timer);
    this.#asked += 1;
    const { option } = pill;
    if (option.autocomplete && !pill.chosen) {
      this.#timer = setTimeout(() => this.#complete(pill, this.#asked), DEBOUNCE);
      if (!this.#context.suggestions.open) this.#offer(pill, [], "Searching…");
      return;
    }
    const items = this.#items(option);
    if (!items || pill.chosen) {
      this.#context.suggestions.hide();
      return;
    }
    const typed = pill.field.value.trim().toLowerCase();
    this.#offer(pill, items.filter((item) => !typed || item.label.toLowerCase().includes(typed)), "Nothing in the list matches.");
  }

  #items(option) {
    const { store } = this.#context;
    if (option.choices?.length) return option.choices.map((choice) => ({ value: choice.value, label: choice.name }));
    switch (option.type) {
      case TYPE.BOOLEAN: return [{ value: true, label: "True" }, { value: false, label: "False" }];
      case TYPE.USER: return peopleItems(store);
      case TYPE.ROLE: return roleItems(store);
      case TYPE.MENTIONABLE: return [...peopleItems(store), ...roleItems(store)];
      case TYPE.CHANNEL: return channelItems(store, option.channel_types);
      default: return null;
    }
  }

  async #complete(pill, asked) {
    const options = {};
    for (const other of this.#pills) {
      const read = other === pill ? { value: pill.field.value } : this.#value(other);
      if (read.value !== undefined && !read.error && other.option.type !== TYPE.ATTACHMENT) options[other.option.name] = read.value;
    }
    try {
      const choices = await this.#context.complete(options, pill.option.name);
      if (asked !== this.#asked || document.activeElement !== pill.field) return;
      this.#offer(pill, choices.map((choice) => ({ value: choice.value, label: choice.name })), "Nothing found. You may still type a name.");
    } catch (error) {
      if (asked === this.#asked) this.#offer(pill, [], error.message);
    }
  }

  #offer(pill, rows, note) {
    this.#context.suggestions.show({
      field: pill.field, rows, note, title: [h("span", null, h("b", null, pill.option.name), ` · ${pill.option.description}`)], choose: (row) => this.#choose(pill, row),
    });
  }

  #choose(pill, row) {
    pill.chosen = { value: row.value, name: row.label };
    pill.field.value = row.label;
    this.#clear(pill);
    this.#fit(pill);
    this.#context.suggestions.hide();
    this.#asked += 1;
    const next = this.#pills.find((other) => other.option.required && this.#value(other).error);
    (next ?? pill).field.focus();
    if (!next) this.note.textContent = "Ready. Press Enter to run it.";
  }

  #tab(pill, step) {
    const next = this.#pills[this.#pills.indexOf(pill) + step];
    if (!next) {
      this.#context.suggestions.hide();
      return false;
    }
    next.field.focus();
    return true;
  }

  #back(pill) {
    const at = this.#pills.indexOf(pill);
    if (!pill.option.required) {
      this.#pills.splice(at, 1);
      pill.element.remove();
      this.#drawMore();
    } else if (at === 0) {
      this.#leave();
      return;
    }
    const before = this.#pills[Math.max(0, at - 1)];
    if (before) before.field.focus();
    else this.element.focus();
  }

  #leave() {
    this.#context.suggestions.hide();
    this.#context.cancel(`/${this.#context.entry.path}`);
  }

  #left(pill) {
    clearTimeout(this.#timer);
    this.#context.suggestions.hide();
    const read = this.#value(pill);
    if (read.error && pill.field.value) this.#complain(pill, read.error);
  }

  #explain(pill) {
    const { entry } = this.#context;
    fill(this.note, pill ? [h("b", null, pill.option.name), ` ${pill.option.description}`, pill.option.required ? h("span", { class: "needed" }, "required") : null]
      : entry.options.length ? entry.description : `${entry.description} · Press Enter to run it.`);
    this.note.classList.remove("wrong");
  }

  #complain(pill, words) {
    pill.element.classList.add("wrong");
    pill.field.setAttribute("aria-invalid", "true");
    this.note.classList.add("wrong");
    this.note.textContent = `${pill.option.name}: ${words}`;
  }

  #clear(pill) {
    pill.element.classList.remove("wrong");
    pill.field.removeAttribute("aria-invalid");
    this.#explain(pill);
  }
}
