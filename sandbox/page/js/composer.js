// Where a person writes: text with replies and files, or a command with options. Knows drafts and keys;
// must never decide what a command means.

import { flatten, matchTyped } from "./commands.js";
import { fill, h } from "./dom.js";
import { readFile } from "./files.js";
import { icon } from "./icons.js";
import { authorOf, gist } from "./message.js";
import { showPalette } from "./palette.js";
import { channelItems, peopleItems } from "./selects.js";
import { SlashForm } from "./slash.js";
import { Suggestions } from "./suggestions.js";

const LIMIT = 2000;

export class Composer {
  #context;
  #entries = [];
  #form = null;
  #reply = null;
  #ping = true;
  #files = [];
  #drafts = new Map();
  #dismissed = "";

  /** `context`: {store, names, send(body), run(command, options), complete(command, options, focused), toast(words), focusLast()}. */
  constructor(context) {
    this.#context = context;
    this.suggestions = new Suggestions();
    this.replyBar = h("div", { class: "reply-bar", hidden: true });
    this.fileBar = h("div", { class: "file-bar", hidden: true });
    this.field = h("textarea", { class: "field", rows: "1", role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", enterkeyhint: "send", autocomplete: "off", "aria-label": "Message" });
    this.count = h("span", { class: "left", hidden: true, role: "status" });
    this.picker = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true" });
    this.attach = h("button", { type: "button", class: "icon-button", "aria-label": "Attach files", title: "Attach files", onclick: () => this.picker.click() }, icon("plus"));
    this.slashButton = h("button", { type: "button", class: "icon-button slash-button", "aria-label": "Show commands", title: "Commands", onclick: () => this.openPalette() }, icon("slash"));
    this.sendButton = h("button", { type: "button", class: "icon-button send", "aria-label": "Send", title: "Send", onclick: () => this.#submit() }, icon("send"));
    this.middle = h("div", { class: "composer-middle" }, this.field);
    this.element = h("div", { class: "composer" }, this.suggestions.element, this.replyBar, this.fileBar,
      h("div", { class: "composer-line" }, this.attach, this.middle, this.count, this.slashButton, this.sendButton));
    this.field.addEventListener("input", () => this.#typed());
    this.field.addEventListener("blur", () => this.suggestions.hide());
    this.field.addEventListener("focus", () => this.#typed());
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.picker.addEventListener("change", () => { this.#addFiles([...this.picker.files]); this.picker.value = ""; });
    this.field.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) this.#addFiles([...event.clipboardData.files]); });
  }

  /** New commands from the bot; a form of a command that is gone is closed. */
  setCommands(commands) {
    this.#entries = flatten(commands);
    if (this.#form && !this.#entries.some((entry) => entry.path === this.#form.path)) this.#close("");
    if (document.activeElement === this.field) this.#typed();
  }

  get entries() {
    return this.#entries;
  }

  /** Shows the draft of a channel, or nothing when `channel` is null. */
  openChannel(channel, key) {
    if (this.key) this.#drafts.set(this.key, this.#form ? "" : this.field.value);
    this.key = key;
    this.#close(this.#drafts.get(key) ?? "");
    this.stopReply();
    this.describe(channel);
  }

  describe(channel) {
    const { store } = this.#context;
    this.field.disabled = !channel;
    this.field.placeholder = channel ? `Message #${channel.name} as ${store.me?.name ?? "…"}` : "Choose a channel";
    this.field.setAttribute("aria-label", this.field.placeholder);
  }

  openPalette() {
    if (this.#form) this.#close("");
    this.stopReply();
    this.field.value = "/";
    this.#dismissed = "";
    this.field.focus();
    this.#typed();
  }

  /** Begins a command by its path, as a mention or a suggestion asks for. */
  useCommand(path) {
    const entry = this.#entries.find((one) => one.path === path.trim());
    if (entry) this.#open(entry);
    else this.#context.toast(`There is no command /${path} for you here.`);
  }

  reply(message) {
    const { store, names } = this.#context;
    const who = authorOf(message, store);
    this.#reply = message;
    this.#ping = true;
    const toggle = h("button", { type: "button", class: "ping on", "aria-pressed": "true", title: "Whether they are notified", onclick: () => {
      this.#ping = !this.#ping;
      toggle.classList.toggle("on", this.#ping);
      toggle.setAttribute("aria-pressed", String(this.#ping));
      fill(toggle, icon("at"), this.#ping ? "Ping on" : "Ping off");
    } }, icon("at"), "Ping on");
    fill(this.replyBar, icon("reply"), h("span", { class: "reply-words" }, "Replying to ", h("b", null, who.name), h("span", { class: "reply-gist" }, gist(message, names).slice(0, 120))), toggle,
      h("button", { type: "button", class: "icon-button", "aria-label": "Stop replying", onclick: () => { this.stopReply(); this.focus(); } }, icon("close")));
    this.replyBar.hidden = false;
    if (this.#form) this.#close("");
    this.focus();
  }

  stopReply() {
    this.#reply = null;
    this.replyBar.hidden = true;
  }

  focus() {
    if (this.#form) this.#form.begin();
    else this.field.focus();
  }

  #typed() {
    const text = this.field.value;
    this.#fit();
    if (text !== this.#dismissed) this.#dismissed = "";
    const match = this.#reply ? null : matchTyped(this.#entries, text); // a command is no reply; games have commands with a slash too
    if (match) {
      this.#open(match.entry, match.rest);
      return;
    }
    if (/^\/[^\n]{0,80}$/.test(text) && !this.#dismissed && !this.#reply) {
      showPalette(this.suggestions, { field: this.field, entries: this.#entries, typed: text.slice(1), bot: this.#context.store.bot, choose: (entry) => this.#open(entry) });
      return;
    }
    this.#mentions(text);
  }

  #mentions(text) {
    const match = /(^|\s)([@#])([^\s@#]{0,30})$/.exec(text.slice(0, this.field.selectionStart ?? text.length));
    const { store } = this.#context;
    const items = match ? (match[2] === "@" ? peopleItems(store) : channelItems(store)) : [];
    const rows = match ? items.filter((item) => item.label.toLowerCase().startsWith(match[3].toLowerCase())).slice(0, 8) : [];
    if (!rows.length) {
      this.suggestions.hide();
      return;
    }
    this.suggestions.show({ field: this.field, rows, title: match[2] === "@" ? "People" : "Channels", first: match[3].length > 0, choose: (row) => {
      const at = this.field.selectionStart;
      this.field.setRangeText(`<${match[2]}${row.value}> `, at - match[3].length - 1, at, "end");
      this.#typed();
    } });
  }

  #key(event) {
    if (event.isComposing) return;
    if (this.#form) {
      if (this.#form.key(event)) event.preventDefault();
      return;
    }
    if (event.target !== this.field) {
      if (event.key === "Escape" && this.#reply) this.stopReply();
      return;
    }
    if (event.key === "Escape") {
      if (this.suggestions.open) {
        this.#dismissed = this.field.value;
        this.suggestions.hide();
      } else if (this.#reply) this.stopReply();
      event.preventDefault();
    } else if (this.suggestions.key(event)) event.preventDefault();
    else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && !this.field.value) {
      event.preventDefault();
      this.#context.focusLast();
    }
  }

  async #submit() {
    if (this.#form) {
      this.#form.submit();
      return;
    }
    const content = this.field.value.trim();
    if (!content && !this.#files.length) return;
    if (content.length > LIMIT) {
      this.#context.toast(`A message holds ${LIMIT} characters; this one has ${content.length}. Shorten it, or attach it as a file.`);
      return;
    }
    const [reply, files, ping] = [this.#reply, this.#files, this.#ping];
    this.field.value = "";
    this.#files = [];
    this.#drawFiles();
    this.stopReply();
    this.#fit();
    this.suggestions.hide();
    this.field.focus();
    try {
      await this.#context.send({ content, ...(reply ? { reply_to: reply.id, ping } : {}), ...(files.length ? { files } : {}) });
    } catch (error) {
      if (!this.field.value) this.field.value = content; // nothing typed is lost
      this.#files = files;
      this.#drawFiles();
      this.#fit();
      this.#context.toast(error.message);
    }
  }

  #open(entry, text = "") {
    const { store } = this.#context;
    this.#form = new SlashForm({
      entry, store, suggestions: this.suggestions,
      complete: (options, focused) => this.#context.complete(entry.path, options, focused),
      send: (options) => this.#run(entry, options),
      cancel: () => this.#close("", true),
    });
    this.#form.path = entry.path;
    this.field.value = "";
    this.suggestions.hide();
    this.element.classList.add("commanding");
    fill(this.middle, this.#form.element);
    this.#fit();
    this.#form.begin(text);
  }

  async #run(entry, options) {
    const form = this.#form;
    this.sendButton.disabled = true;
    try {
      await this.#context.run(entry.path, options);
      if (this.#form === form) this.#close("", true);
    } catch (error) {
      this.#context.toast(error.message); // the form stays as it was, to be mended
    } finally {
      this.sendButton.disabled = false;
    }
  }

  #close(text, focus = false) {
    this.#form = null;
    this.suggestions.hide();
    this.element.classList.remove("commanding");
    fill(this.middle, this.field);
    this.field.value = text;
    this.#fit();
    if (focus) this.field.focus();
  }

  #fit() {
    this.field.style.setProperty("height", "auto");
    this.field.style.setProperty("height", `${Math.min(this.field.scrollHeight, Math.round(innerHeight * 0.4))}px`);
    const left = LIMIT - this.field.value.length;
    this.count.hidden = left > 200 || Boolean(this.#form);
    this.count.textContent = String(left);
    this.count.classList.toggle("over", left < 0);
    this.element.classList.toggle("ready", Boolean(this.#form || this.field.value.trim() || this.#files.length));
  }

  async #addFiles(files) {
    for (const file of files) {
      if (this.#files.length >= 10) {
        this.#context.toast("A message takes 10 files.");
        break;
      }
      try {
        this.#files.push(await readFile(file));
      } catch (error) {
        this.#context.toast(error.message);
      }
    }
    this.#drawFiles();
    this.#fit();
  }

  #drawFiles() {
    this.fileBar.hidden = !this.#files.length;
    fill(this.fileBar, this.#files.map((file, index) => h("span", { class: "file-chip" }, icon("file"), file.filename,
      h("button", { type: "button", class: "icon-button", "aria-label": `Remove ${file.filename}`, onclick: () => { this.#files.splice(index, 1); this.#drawFiles(); this.#fit(); } }, icon("close")))));
  }
}
