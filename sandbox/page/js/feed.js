// The list of messages of the open channel: grouping, days, new ones, what waits, older ones on demand, staying at the end.
// Knows scrolling and reuse of drawn messages; must never talk to the sandbox itself.

import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { authorOf, failed, gist, messageView } from "./message.js";
import { compareIds } from "./store.js";
import { dayName, dayNumber } from "./timestamps.js";

const GROUP_MINUTES = 7;
const NEAR_END = 80;

export class Feed {
  #scene;
  #welcome;
  #older;
  #views = new Map(); // message id -> {key, element}
  #channelId = null;
  #readUpTo = null;
  #atEnd = true;
  #missed = 0;
  #lastTop = 0;
  #thinking = new Set();
  #queued = false;
  #loading = false;

  /** `scene` is what messages need; `welcome(channel)` draws the top of a channel; `loadOlder(channelId)` asks for more. */
  constructor({ scene, welcome, loadOlder }) {
    this.#scene = scene;
    this.#welcome = welcome;
    this.#older = loadOlder;
    this.list = h("ol", { class: "messages", "aria-label": "Messages" });
    this.top = h("div", { class: "feed-top" });
    this.waiting = h("ul", { class: "waiting", "aria-label": "Waiting for answers" });
    this.scroller = h("div", { class: "feed", role: "log", "aria-live": "off", "aria-label": "Messages", tabindex: "-1" }, h("div", { class: "feed-inner" }, this.top, this.list, this.waiting));
    this.jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() });
    this.announcer = h("div", { class: "unseen", "aria-live": "polite", role: "status" });
    this.element = h("div", { class: "feed-box" }, this.scroller, this.jump, this.announcer);
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.#key(event));
    this.scroller.addEventListener("click", (event) => this.#touched(event));
    this.scroller.addEventListener("load", () => this.#stay(), true); // a picture took its place
    const sizes = new ResizeObserver(() => this.#stay());
    sizes.observe(this.scroller);
    sizes.observe(this.scroller.firstElementChild);
  }

  /** Shows a channel from its end; `readUpTo` is the last message seen before, or null. */
  show(channelId, readUpTo) {
    this.#channelId = channelId;
    this.#readUpTo = readUpTo;
    this.#views.clear();
    this.#missed = 0;
    this.#atEnd = true;
    this.draw();
    this.toEnd();
  }

  /** Something changed; drawn once per frame however often it is said. */
  changed({ channelId, id, kind, message } = {}) {
    if (channelId !== undefined && channelId !== this.#channelId) return;
    if (kind === "create" && message) this.#arrived(message, id);
    else if (this.#thinking.has(id) && message && !message.thinking) this.#announce(message); // other edits are not read out again
    if (this.#queued) return;
    this.#queued = true;
    const run = () => {
      if (!this.#queued) return;
      this.#queued = false;
      this.draw();
    };
    requestAnimationFrame(run);
    setTimeout(run, 250); // a hidden tab has no frames
  }

  /** Draws what differs from what is on screen. */
  draw() {
    const { store } = this.#scene;
    const channel = store.channel(this.#channelId);
    if (!channel) {
      fill(this.list);
      fill(this.top);
      return;
    }
    const focus = this.#rememberFocus();
    const anchor = this.#atEnd ? null : this.#firstVisible();
    const complete = store.isComplete(channel.id);
    fill(this.top, complete ? this.#welcome(channel) : h("button", { type: "button", class: "text-button older", onclick: () => this.#loadOlder() }, "Load older messages"));
    this.#place(this.#items(store.messages(channel.id)));
    this.#drawWaiting();
    this.#restoreFocus(focus);
    if (this.#atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
    else if (anchor) this.#holdStill(anchor);
    this.#drawJump();
  }

  toEnd() {
    this.#atEnd = true;
    this.#missed = 0;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#drawJump();
  }

  /** Scrolls to a message and marks it for a moment; false when it is not here. */
  reveal(id) {
    const view = this.#views.get(id)?.element;
    if (!view) return false;
    this.#atEnd = false;
    view.scrollIntoView({ block: "center" });
    view.classList.add("revealed");
    setTimeout(() => view.classList.remove("revealed"), 1600);
    return true;
  }

  /** Puts the keyboard on the newest message. */
  focusLast() {
    this.list.lastElementChild?.focus();
  }

  #firstVisible() {
    const top = this.scroller.getBoundingClientRect().top;
    const element = [...this.list.children].find((item) => item.dataset.id && item.getBoundingClientRect().bottom > top);
    return element ? { id: element.dataset.id, top: element.getBoundingClientRect().top } : null;
  }

  // What is being read stays where it is when something above it changes its height.
  #holdStill(anchor) {
    const element = this.#views.get(anchor.id)?.element;
    if (element?.isConnected) this.scroller.scrollTop += element.getBoundingClientRect().top - anchor.top;
  }

  #items(messages) {
    const items = [];
    const known = new Set();
    let before = null;
    let marked = this.#readUpTo === null;
    for (const message of messages) {
      const date = new Date(message.timestamp);
      const newDay = !before || dayNumber(new Date(before.timestamp)) !== dayNumber(date);
      const unread = !marked && compareIds(message.id, this.#readUpTo) > 0;
      if (newDay && before) items.push(this.#divider(`day ${dayNumber(date)}`, dayName(date), "day"));
      if (unread) {
        marked = true;
        if (before) items.push(this.#divider("new", "New", "new"));
      }
      items.push(this.#view(message, !newDay && !unread && this.#belongs(before, message)));
      known.add(message.id);
      before = message;
    }
    for (const id of this.#views.keys()) if (/^\d+$/.test(id) && !known.has(id)) this.#views.delete(id);
    return items;
  }

  #belongs(before, message) {
    if (!before || before.author?.id !== message.author?.id || (before.webhook_id ?? null) !== (message.webhook_id ?? null)) return false;
    if (message.webhook_id && before.author?.username !== message.author?.username) return false;
    if (![0, undefined].includes(message.type) || ![0, 19, 20, undefined].includes(before.type) || message.interaction_metadata || message.ephemeral_for || before.ephemeral_for) return false;
    return new Date(message.timestamp) - new Date(before.timestamp) < GROUP_MINUTES * 60000;
  }

  #view(message, grouped) {
    const key = `${this.#scene.store.revision(message.id)} ${grouped}`;
    const known = this.#views.get(message.id);
    if (known?.key === key) return known.element;
    const element = messageView(message, grouped, this.#scene);
    if (known) carryOver(known.element, element);
    this.#views.set(message.id, { key, element });
    return element;
  }

  #divider(id, words, kind) {
    const known = this.#views.get(id);
    if (known?.key === words) return known.element;
    const element = h("li", { class: `divider ${kind}`, role: "separator", "aria-label": words }, h("span", null, words));
    this.#views.set(id, { key: words, element });
    return element;
  }

  #place(items) {
    let at = this.list.firstElementChild;
    for (const item of items) {
      if (at === item) at = at.nextElementSibling;
      else this.list.insertBefore(item, at);
    }
    while (at) {
      const next = at.nextElementSibling;
      at.remove();
      at = next;
    }
    const last = this.list.lastElementChild;
    for (const item of items) item.tabIndex = item === last ? 0 : -1;
  }

  #drawWaiting() {
    const { interactions, store } = this.#scene;
    fill(this.waiting,
      interactions.pending(this.#channelId).map((entry) => h("li", { class: "waiting-line", role: "status" },
        h("span", { class: "dots" }, h("i"), h("i"), h("i")), `Sending /${entry.command.replace(/^\//, "")} to ${store.bot.name}…`)),
      interactions.refused(this.#channelId).map((entry) => h("li", { class: "waiting-line" },
        failed(entry.command ? `/${entry.command.replace(/^\//, "")}: ${entry.words}` : entry.words, () => interactions.dismiss(entry)))));
  }

  #announce(message) {
    const { store, names } = this.#scene;
    if (message.thinking) this.#thinking.add(message.id);
    else this.#thinking.delete(message.id);
    this.announcer.textContent = `${authorOf(message, store).name}: ${gist(message, names).slice(0, 240)}`;
  }

  #arrived(message, id) {
    const { store } = this.#scene;
    const author = authorOf(message, store);
    if (author.id === store.me?.id) this.#atEnd = true;
    else {
      if (!this.#atEnd) this.#missed += 1;
      this.#announce(message);
    }
    if (document.hidden && this.#readUpTo === null) this.#readUpTo = previous(store.messages(this.#channelId), id);
  }

  #scrolled() {
    const left = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
    const up = this.scroller.scrollTop < this.#lastTop;
    this.#lastTop = this.scroller.scrollTop;
    if (left < NEAR_END) this.#atEnd = true;
    else if (up) this.#atEnd = false; // growing content is no reason to leave the end, a person's scrolling is
    if (this.#atEnd) this.#missed = 0;
    this.#drawJump();
    if (this.scroller.scrollTop < 120 && !this.#scene.store.isComplete(this.#channelId)) this.#loadOlder();
  }

  async #loadOlder() {
    if (this.#loading) return;
    this.#loading = true;
    try {
      await this.#older(this.#channelId);
      this.#queued = false;
      this.draw();
    } finally {
      this.#loading = false;
    }
  }

  #stay() {
    if (this.#atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #drawJump() {
    this.jump.hidden = this.#atEnd;
    fill(this.jump, icon("down"), this.#missed ? `${this.#missed} new ${this.#missed === 1 ? "message" : "messages"}` : "Jump to the newest");
  }

  #rememberFocus() {
    const focused = document.activeElement;
    const item = focused?.closest?.(".message");
    if (!item || !this.list.contains(item)) return null;
    return { id: item.dataset.id, key: focused === item ? null : focused.dataset.focusKey ?? null, element: focused };
  }

  #restoreFocus(focus) {
    if (!focus || focus.element.isConnected) return;
    const item = this.#views.get(focus.id)?.element;
    const same = focus.key && [...item?.querySelectorAll("[data-focus-key]") ?? []].find((one) => one.dataset.focusKey === focus.key);
    (same || item)?.focus({ preventScroll: true });
  }

  #key(event) {
    const item = event.target.closest?.(".message");
    if (!item || event.target !== item) return;
    const all = [...this.list.querySelectorAll(".message")];
    const at = all.indexOf(item);
    const goal = { ArrowUp: all[at - 1], ArrowDown: all[at + 1], Home: all[0], End: all.at(-1) }[event.key];
    const message = this.#scene.store.message(this.#channelId, item.dataset.id);
    if (goal) goal.focus();
    else if (event.key === "r" && message && !event.ctrlKey && !event.metaKey) this.#scene.acts.reply(message);
    else if (event.key === "Escape" || (event.key === "ArrowDown" && at === all.length - 1)) this.#scene.acts.focusComposer();
    else return;
    event.preventDefault();
  }

  #touched(event) {
    const item = event.target.closest?.(".message");
    const control = event.target.closest?.("button, a, input, summary, pre, .spoiler");
    for (const other of this.list.querySelectorAll(".message.touched")) if (other !== item) other.classList.remove("touched");
    if (item && !control && matchMedia("(hover: none), (max-width: 760px)").matches && !String(getSelection())) item.classList.toggle("touched");
  }
}

function previous(messages, id) {
  const at = messages.findIndex((message) => message.id === id);
  return at > 0 ? messages[at - 1].id : null;
}

// What a person opened stays open when the bot edits the message: spoilers, covers, and the toolbar under a finger.
function carryOver(from, to) {
  if (from.classList.contains("touched")) to.classList.add("touched");
  const open = [...from.querySelectorAll(".spoiler")].map((one) => one.classList.contains("open"));
  [...to.querySelectorAll(".spoiler")].forEach((one, index) => { if (open[index]) one.click(); });
  const shown = [...from.querySelectorAll(".cover")].map((one) => one.classList.contains("open"));
  [...to.querySelectorAll(".cover")].forEach((one, index) => { if (shown[index]) one.querySelector(".cover-button")?.click(); });
}
