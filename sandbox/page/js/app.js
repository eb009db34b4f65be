// The page, put together: finds out who there is, becomes one of them, and joins wire, store and views.
// Must never hold state of its own beyond who is on screen and which drawer is open.

import { faceColour } from "./avatars.js";
import { drawChannels } from "./channels.js";
import { Composer } from "./composer.js";
import { cssColour, fill, h } from "./dom.js";
import { emojiOf, REACTIONS } from "./emoji.js";
import { Feed } from "./feed.js";
import { icon } from "./icons.js";
import { Interactions } from "./interactions.js";
import { gist } from "./message.js";
import { openModal } from "./modal.js";
import { drawMembers, drawSwitch } from "./people.js";
import { pick } from "./picker.js";
import { isText, Store } from "./store.js";
import { startTicking } from "./timestamps.js";
import { toast } from "./toasts.js";
import { Wire } from "./wire.js";

const $ = (id) => document.getElementById(id);
const wire = new Wire();
const store = new Store();
const interactions = new Interactions(wire, store, toast);
const SUGGESTED = ["server list", "server start", "server info", "console tail", "server restart"];
const HINT_KEY = "perch-hint-done";
let form = null;

const names = {
  person: (id) => {
    const person = store.person(id);
    return person && { name: person.name, css: faceColour(person) };
  },
  role: (id) => {
    const role = store.role(id);
    return role && { name: role.name, css: cssColour(role.color) };
  },
  channel: (id) => store.channel(id),
  openChannel: (id) => openChannel(id),
  useCommand: (path) => composer.useCommand(path),
};

const acts = {
  reply: (message) => composer.reply(message),
  react: (message, emoji) => ask("react", { channel_id: message.channel_id, message_id: message.id, emoji }),
  remove: (message) => ask("delete", { channel_id: message.channel_id, message_id: message.id }),
  dismiss: (message) => ask("dismiss", { message_id: message.id }),
  jump: (id) => { if (!feed.reveal(id)) toast("That message is further back. Load older messages to see it."); },
  focusComposer: () => composer.focus(),
  copy: async (message) => {
    try {
      await navigator.clipboard.writeText(message.content || gist(message, names));
      toast("Copied.", "fine");
    } catch {
      toast("This browser does not let the page copy. Select the text instead.");
    }
  },
  pickReaction: async (message, anchor) => {
    const items = REACTIONS.map((sign) => ({ value: sign, label: sign, lead: emojiOf({ name: sign }) }));
    const chosen = await pick({ anchor, title: "Add a reaction", items, max: 1 });
    if (chosen?.length) await acts.react(message, chosen[0]);
  },
};

const scene = { store, names, interactions, acts };
const feed = new Feed({ scene, welcome, loadOlder });
const composer = new Composer({
  store, names, toast,
  send: (body) => wire.ask("send", { channel_id: store.active, ...body }),
  run: async (command, options) => {
    await interactions.run(store.active, command, options);
    remember(HINT_KEY);
    feed.toEnd();
    feed.changed();
  },
  complete: async (command, options, focused) => (await wire.ask("autocomplete", { channel_id: store.active, command, options, focused })).choices ?? [],
  focusLast: () => feed.focusLast(),
});

async function ask(op, body) {
  try {
    return await wire.ask(op, body);
  } catch (error) {
    toast(error.message);
    return null;
  }
}

async function loadOlder(channelId) {
  const before = store.messages(channelId)[0]?.id;
  const data = await ask("history", { channel_id: channelId, before, limit: 50 });
  if (data) store.prepend(channelId, data.messages, data.has_more);
}

function openChannel(id) {
  const channel = store.channel(id);
  if (!channel || !isText(channel)) return;
  const unread = store.unread(id).count > 0;
  const readUpTo = store.open(id);
  composer.openChannel(channel, `${store.me.id}:${id}`);
  drawHead();
  feed.show(id, unread ? readUpTo : null);
  setDrawer(false);
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

function welcome(channel) {
  const hint = recall(HINT_KEY) ? null : h("div", { class: "hint" }, icon("spark"),
    h("span", null, h("b", null, "Type ", h("kbd", null, "/"), ` to see what ${store.bot.name} can do. `), "Everybody in this chat is you: switch between them and see what each may do."),
    h("button", { type: "button", class: "button primary", onclick: () => composer.openPalette() }, "Show commands"));
  return h("div", { class: "welcome" }, h("span", { class: "welcome-sign" }, icon("hash")), h("h2", null, channel.name),
    h("p", null, channel.topic ? `${channel.topic}. ` : "", "This is the beginning of the channel. It lives on your computer only."), hint);
}

function become(personId) {
  if (personId === store.me?.id && wire.status === "open") return;
  keep("perch-person", personId);
  form?.close();
  wire.become(personId);
}

function drawHead() {
  const channel = store.channel(store.active);
  fill($("channel-name"), channel?.name ?? "No channel");
  fill($("channel-topic"), channel?.topic ?? "");
  document.title = `${channel ? `#${channel.name}` : "Perch"} · ${store.guild.name || "Perch"}`;
}

function drawSide() {
  fill($("guild-name"), store.guild.name);
  fill($("guild-sign"), store.guild.icon_text ?? "");
  drawChannels($("channels"), store, openChannel);
  fill($("bot-line"), h("span", { class: store.bot.online ? "lamp on" : "lamp" }), `${store.bot.name} is ${store.bot.online ? "online" : "offline"}`);
  const others = store.channels.some((channel) => channel.id !== store.active && store.unread(channel.id).count > 0);
  $("menu").classList.toggle("unread", others);
}

function drawPeople() {
  drawSwitch($("switch"), store, become);
  const found = SUGGESTED.map((path) => composer.entries.find((entry) => entry.path === path)).filter(Boolean);
  const suggestions = (found.length ? found : composer.entries).slice(0, 4);
  drawMembers($("members"), store, { become, useCommand: (path) => composer.useCommand(path), suggestions });
}

function ready() {
  composer.setCommands(store.commands);
  const channel = store.channel(store.active);
  composer.openChannel(channel, `${store.me?.id}:${store.active}`);
  drawSide();
  drawPeople();
  drawHead();
  feed.show(store.active, null);
  document.body.dataset.ready = store.me?.id ?? "";
  if (matchMedia("(hover: hover)").matches && document.activeElement === document.body) composer.focus();
}

// What had the focus before a form opened may be gone: a command's pills are, once it is sent.
function takeFocusBack() {
  const focused = document.activeElement;
  if (focused === composer.field) focused.blur(); // given back by the dialog, but without its caret: take it anew
  else if (focused && focused !== document.body) return;
  composer.focus();
}

function setDrawer(open) {
  if (document.body.classList.contains("drawer") === open) return;
  document.body.classList.toggle("drawer", open);
  $("menu").setAttribute("aria-expanded", String(open));
  $("main").inert = open && matchMedia("(max-width: 760px)").matches;
  if (open) $("channels").querySelector(".active, button")?.focus();
  else if (matchMedia("(max-width: 760px)").matches) $("menu").focus({ preventScroll: true });
}

function keep(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch { /* a browser that keeps nothing */ }
}

function remember(key) {
  try {
    localStorage.setItem(key, "1");
  } catch { /* a browser that keeps nothing */ }
}

function recall(key) {
  try {
    return localStorage.getItem(key) ?? sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function connection({ status }) {
  const lost = status === "lost" || (status === "connecting" && !$("offline").hidden);
  $("offline").hidden = !lost;
  document.body.classList.toggle("connecting", status !== "open");
  if (status === "lost") findPeople(true);
}

// A sandbox that was started anew has the same community under other ids: be the one of the same name again.
async function findPeople(again = false) {
  try {
    const answer = await fetch("sandbox/people");
    const { people } = await answer.json();
    if (again && people.some((person) => person.id === store.me?.id)) return;
    const wanted = new URLSearchParams(location.search).get("as") ?? recall("perch-person");
    const same = people.find((person) => [person.id, person.name].includes(again ? store.me?.name : wanted));
    const first = same ?? people.find((person) => person.is_owner) ?? people[0];
    if (first) wire.become(first.id);
  } catch {
    if (!again) {
      $("offline").hidden = false;
      setTimeout(findPeople, 1500);
    }
  }
}

wire.addEventListener("status", (event) => connection(event.detail));
wire.addEventListener("frame", ({ detail: frame }) => {
  interactions.see(frame);
  store.apply(frame);
  if (frame.type === "modal") {
    form?.close();
    form = openModal(frame, { store, names, submit: (values) => interactions.submit(frame, values, store.active), closed: takeFocusBack });
  }
});
store.addEventListener("ready", ready);
store.addEventListener("channels", () => { drawSide(); drawHead(); composer.describe(store.channel(store.active)); });
store.addEventListener("people", () => { drawPeople(); drawSide(); feed.changed(); });
store.addEventListener("presence", () => { drawSide(); drawPeople(); });
store.addEventListener("commands", () => { composer.setCommands(store.commands); drawPeople(); });
store.addEventListener("messages", (event) => feed.changed(event.detail));
interactions.addEventListener("change", (event) => feed.changed(event.detail));

$("feed").replaceWith(feed.element);
$("composer").replaceWith(composer.element);
$("menu").append(icon("menu"));
$("channel-sign").append(icon("hash"));
$("menu").addEventListener("click", () => setDrawer(!document.body.classList.contains("drawer")));
$("scrim").addEventListener("click", () => setDrawer(false));
$("close-side").append(icon("close"));
$("close-side").addEventListener("click", () => setDrawer(false));
$("retry").addEventListener("click", () => wire.retryNow());
document.addEventListener("visibilitychange", () => { if (!document.hidden) store.lookedAt(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("drawer")) setDrawer(false);
  const free = !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector("dialog[open]");
  if (free && event.key === "/" && !event.target.closest("input, textarea, [role=listbox]")) {
    event.preventDefault();
    composer.openPalette();
  }
});
startTicking();
findPeople();
