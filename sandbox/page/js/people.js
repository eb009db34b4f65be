// Who you are and who is here: the switch between people on every width, and the list beside the messages.
// Knows how a person is introduced; must never keep anybody's messages.

import { avatar, faceColour } from "./avatars.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

const SEGMENTS = 4;

/** "Owner", or the highest role's name, or "Member". */
export function standing(person, store) {
  if (person.is_owner) return "Owner";
  return store.rolesOf(person)[0]?.name ?? "Member";
}

/** Draws the switch of the header: a row of people where there is room, and the chip that opens the sheet. */
export function drawSwitch(element, store, become) {
  const people = store.people;
  const row = h("div", { class: "segments", role: "radiogroup", "aria-label": "You are" }, people.slice(0, SEGMENTS).map((person) => {
    const me = person.id === store.me?.id;
    return h("button", {
      type: "button", role: "radio", class: me ? "segment on" : "segment", "aria-checked": String(me), tabindex: me ? "0" : "-1", data: { person: person.id },
      title: person.blurb || null, "aria-label": `${person.name}, ${standing(person, store)}`, vars: { "--who": faceColour(person) },
      onclick: () => become(person.id), onkeydown: (event) => roam(event, become),
    }, avatar(person), h("span", { class: "segment-words" }, h("b", null, person.name), h("small", null, standing(person, store))));
  }));
  const me = store.me;
  const chip = me && h("button", { type: "button", class: "chip", "aria-haspopup": "dialog", "aria-label": `You are ${me.name}, ${standing(me, store)}. Switch person`,
    vars: { "--who": faceColour(me) }, onclick: () => openSheet(store, become) },
  avatar(me), h("span", { class: "segment-words" }, h("b", null, me.name), h("small", null, standing(me, store))), icon("chevron"));
  element.classList.toggle("many", people.length > SEGMENTS);
  const hadFocus = element.contains(document.activeElement);
  fill(element, h("span", { class: "switch-label" }, "You are"), row, chip);
  if (hadFocus) [...element.querySelectorAll(".segment.on, .chip")].find((one) => one.offsetParent)?.focus();
}

function roam(event, become) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...event.currentTarget.parentElement.children];
  const next = all[(all.indexOf(event.currentTarget) + step + all.length) % all.length];
  next.focus();
  become(next.dataset.person);
}

/** The sheet in which one becomes somebody else. */
export function openSheet(store, become) {
  const dialog = h("dialog", { class: "sheet", "aria-label": "Switch person" });
  const close = () => { dialog.close(); dialog.remove(); };
  dialog.append(
    h("div", { class: "sheet-head" }, h("strong", null, "Who are you?"), h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: close }, icon("close"))),
    h("p", { class: "sheet-note" }, "Everybody here is you. Each person sees only what they may, so try a command as each of them."),
    ...store.people.map((person) => {
      const me = person.id === store.me?.id;
      return h("button", { type: "button", class: me ? "person-card on" : "person-card", "aria-pressed": String(me), vars: { "--who": faceColour(person) }, data: { person: person.id },
        onclick: () => { close(); become(person.id); } },
      avatar(person, "large"), h("span", { class: "person-words" }, h("b", null, person.name, h("span", { class: "standing" }, standing(person, store))), person.blurb && h("small", null, person.blurb)), me && icon("check"));
    }));
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector(".person-card.on")?.focus();
}

/** Draws who is here: the bot and its state, the people, and commands to begin with. */
export function drawMembers(element, store, { become, useCommand, suggestions }) {
  fill(element,
    h("h2", null, "App"),
    h("div", { class: "member" }, h("span", { class: store.bot.online ? "status on" : "status" }, avatar({ ...store.bot, bot: true })),
      h("span", { class: "person-words" }, h("b", null, store.bot.name), h("small", null, store.bot.online ? "Online" : "Offline: start the bot"))),
    h("h2", null, `People · ${store.people.length}`),
    store.people.map((person) => {
      const me = person.id === store.me?.id;
      return h("button", { type: "button", class: me ? "member on" : "member", onclick: () => become(person.id), disabled: me, "aria-label": me ? `${person.name}, that is you` : `Become ${person.name}` },
        h("span", { class: me ? "status on" : "status" }, avatar(person)),
        h("span", { class: "person-words" }, h("b", { vars: { "--who": faceColour(person) } }, person.name, h("span", { class: "standing" }, me ? "you" : standing(person, store))), person.blurb && h("small", null, person.blurb)));
    }),
    suggestions.length > 0 && [h("h2", null, "Try"), suggestions.map((entry) =>
      h("button", { type: "button", class: "try", onclick: () => useCommand(entry.path) }, h("b", null, `/${entry.path}`), h("small", null, entry.description)))]);
}
