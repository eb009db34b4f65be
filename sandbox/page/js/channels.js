// The list of channels with categories, topics and unread marks. Knows order and the open one; must never load messages.

import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { isText } from "./store.js";

const SIGN = { 2: "speaker", 5: "megaphone", 10: "thread", 11: "thread", 12: "thread" };

/** Draws the list into `element`; `open(id)` is called for a chosen channel. */
export function drawChannels(element, store, open) {
  const shown = store.channels.filter((channel) => !channel.archived || channel.id === store.active);
  const under = (parent) => shown.filter((channel) => (channel.parent_id ?? null) === parent && channel.type !== 4);
  const known = new Set(shown.map((channel) => channel.id));
  const row = (channel, deep = false) => [line(channel, store, open, deep), ...under(channel.id).map((thread) => line(thread, store, open, true))];
  const loose = shown.filter((channel) => channel.type !== 4 && (!channel.parent_id || !known.has(channel.parent_id)));
  const focused = document.activeElement?.closest?.("[data-channel]")?.dataset.channel;
  fill(element, loose.map((channel) => row(channel)),
    shown.filter((channel) => channel.type === 4).map((category) => [h("li", { class: "category" }, category.name), under(category.id).map((channel) => row(channel))]));
  if (focused) element.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
}

function line(channel, store, open, deep) {
  const { count, mentioned } = store.unread(channel.id);
  const active = channel.id === store.active;
  const text = isText(channel);
  return h("li", null, h("button", {
    type: "button", class: `channel${active ? " active" : ""}${count ? " unread" : ""}${deep ? " deep" : ""}`, "aria-current": active ? "page" : null,
    disabled: !text, data: { channel: channel.id }, title: channel.topic || null, onclick: () => open(channel.id),
    "aria-label": [channel.name, channel.topic, count && `${count} unread`].filter(Boolean).join(", "),
  }, icon(SIGN[channel.type] ?? "hash"),
  h("span", { class: "channel-words" }, h("span", { class: "channel-name" }, channel.name), channel.topic && h("span", { class: "channel-topic" }, channel.topic)),
  count > 0 && h("span", { class: mentioned ? "count loud" : "count" }, count > 99 ? "99+" : String(count))));
}
