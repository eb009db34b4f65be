// Select menus: what can be chosen (options, people, roles, channels) and the control that shows the choice.
// Knows component types 3, 5, 6, 7, 8; must never send anything itself.

import { cssColour, h } from "./dom.js";
import { emojiOf } from "./emoji.js";
import { icon } from "./icons.js";
import { avatar } from "./avatars.js";
import { pick } from "./picker.js";
import { isText } from "./store.js";

const NOUNS = { 3: ["an option", "options"], 5: ["a person", "people"], 6: ["a role", "roles"], 7: ["a person or role", "people or roles"], 8: ["a channel", "channels"] };

/** People and the bot as menu rows. */
export function peopleItems(store) {
  const bot = store.bot.id ? [{ value: store.bot.id, label: store.bot.name, detail: "App", lead: avatar({ ...store.bot, bot: true }, "small") }] : [];
  return [...store.people.map((person) => ({ value: person.id, label: person.name, detail: person.blurb || undefined, lead: avatar(person, "small") })), ...bot];
}

/** Roles as menu rows, highest first. */
export function roleItems(store) {
  return [...store.guild.roles].sort((a, b) => (b.position ?? 0) - (a.position ?? 0)).map((role) => ({
    value: role.id, label: role.name, lead: h("span", { class: "role-dot", vars: { "--who": cssColour(role.color) ?? "var(--muted)" } }),
  }));
}

/** Channels as menu rows; `types` limits them as Discord's channel_types does. */
export function channelItems(store, types) {
  return store.channels.filter((channel) => (types?.length ? types.includes(channel.type) : isText(channel)))
    .map((channel) => ({ value: channel.id, label: channel.name, detail: channel.topic || undefined, lead: icon("hash") }));
}

/** The rows of a select component. */
export function itemsOf(component, store) {
  switch (component.type) {
    case 5: return peopleItems(store);
    case 6: return roleItems(store);
    case 7: return [...peopleItems(store), ...roleItems(store)];
    case 8: return channelItems(store, component.channel_types);
    default: return (component.options ?? []).map((option) => ({
      value: option.value, label: option.label, detail: option.description || undefined, lead: emojiOf(option.emoji),
    }));
  }
}

/** Values a select starts with. */
export function defaultsOf(component) {
  if (component.type === 3) return (component.options ?? []).filter((option) => option.default).map((option) => option.value);
  return (component.default_values ?? []).map((value) => value.id);
}

/** The control of a select; `changed(values)` is called when the person chose. Returns {element, values()}. */
export function selectControl(component, store, { changed, busy = false, label = null, focusKey = null }) {
  let values = defaultsOf(component);
  const min = component.min_values ?? 1;
  const max = component.max_values ?? 1;
  const items = itemsOf(component, store);
  const words = component.placeholder || `Choose ${NOUNS[component.type][max > 1 ? 1 : 0]}`;
  const text = h("span", { class: "select-text" });
  const element = h("button", {
    type: "button", class: busy ? "select busy" : "select", "aria-haspopup": "listbox", disabled: component.disabled, "aria-busy": busy || null,
    data: focusKey ? { focusKey } : {},
  }, text, busy ? h("span", { class: "dots", "aria-label": "Waiting for the bot" }, h("i"), h("i"), h("i")) : icon("chevron"));
  const draw = () => {
    const chosen = items.filter((item) => values.includes(item.value));
    text.replaceChildren(...(chosen.length
      ? chosen.map((item) => h("span", { class: max > 1 ? "select-chip" : "select-one" }, item.lead?.cloneNode(true), item.label))
      : [h("span", { class: "select-empty" }, words)]));
    element.setAttribute("aria-label", [label ?? words, chosen.map((item) => item.label).join(", ")].filter(Boolean).join(": "));
  };
  element.addEventListener("click", async () => {
    if (busy) return;
    const chosen = await pick({ anchor: element, title: label ?? words, items, chosen: values, min, max });
    if (chosen === null) return;
    values = chosen;
    draw();
    changed(values);
  });
  draw();
  return { element, values: () => values };
}
