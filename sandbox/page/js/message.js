// One message as a list item: who, when, in answer to what, its content, and what only its reader may do with it.
// Knows the layout of a message; must never change the store.

import { attachmentView } from "./attachments.js";
import { avatar, faceColour } from "./avatars.js";
import { componentsView } from "./components.js";
import { h } from "./dom.js";
import { embedView, shownByEmbeds } from "./embeds.js";
import { emojiOf, emojiText } from "./emoji.js";
import { icon } from "./icons.js";
import { markdown, plainText } from "./markdown.js";
import { clock, fullDate, messageTime } from "./timestamps.js";

const V2 = 32768;
const NOTICES = { 6: "pinned a message in this channel.", 18: "started a thread:", 7: "joined." };

/** Who wrote a message, as the people list knows them: {id, name, color, bot}. */
export function authorOf(message, store) {
  const known = message.webhook_id ? null : store.person(message.author?.id);
  const name = message.author?.global_name ?? message.author?.username ?? "Somebody";
  return known ?? { id: message.author?.id, name, color: null, bot: Boolean(message.author?.bot || message.webhook_id) };
}

/** All words of a message in one line, for previews and announcements. */
export function gist(message, names) {
  const parts = [message.content];
  for (const embed of message.embeds ?? []) parts.push(embed.title, embed.description);
  const walk = (components) => {
    for (const component of components ?? []) {
      if (component.type === 10) parts.push(component.content);
      walk(component.components);
    }
  };
  walk(message.components);
  for (const attachment of message.attachments ?? []) parts.push(attachment.filename);
  const words = plainText(parts.filter(Boolean).join("\n"), names);
  return message.thinking ? "is thinking…" : words || "(no text)";
}

/** The list item. `scene`: {store, names, interactions, acts: {reply, react, remove, dismiss, jump}}; `grouped` leaves out the head. */
export function messageView(message, grouped, scene) {
  const author = authorOf(message, scene.store);
  const mine = author.id === scene.store.me?.id;
  const written = new Date(message.timestamp);
  const mentioned = !mine && (message.mention_everyone || (message.mentions ?? []).some((user) => user.id === scene.store.me?.id));
  const hidden = Boolean(message.ephemeral_for);
  const failure = scene.interactions.failure(message.id);
  const classes = ["message", grouped && "grouped", hidden && "ephemeral", mentioned && "mentioned", mine && "mine"].filter(Boolean).join(" ");
  const item = h("li", { class: classes, data: { id: message.id }, tabindex: "-1", "aria-label": `${author.name}, ${messageTime(written)}` });
  if (NOTICES[message.type]) {
    item.classList.add("notice");
    item.append(h("div", { class: "notice-line" }, icon(message.type === 18 ? "thread" : "bolt"),
      h("span", null, h("b", null, author.name), ` ${NOTICES[message.type]} `, message.type === 18 && h("i", null, message.content)), stamp(written)));
    return item;
  }
  const body = h("div", { class: "message-body" },
    !grouped && h("div", { class: "message-head" },
      h("span", { class: "author", vars: { "--who": faceColour(author) } }, author.name), author.bot && h("span", { class: "badge" }, "App"), stamp(written)),
    content(message, scene),
    failure && failed(failure, () => scene.interactions.forgive(message)),
    hidden && h("div", { class: "only-you" }, icon("eye"), "Only you can see this · ",
      h("button", { type: "button", class: "text-button", onclick: () => scene.acts.dismiss(message), data: { focusKey: "dismiss" } }, "Dismiss")));
  item.append(...[context(message, scene),
    h("div", { class: "message-side" }, grouped ? h("time", { class: "side-time", datetime: written.toISOString() }, clock(written)) : avatar(author, "large")),
    body, !message.thinking && tools(message, scene, { mine, hidden })].filter(Boolean));
  return item;
}

/** A red line of words with a way to put it away. */
export function failed(words, dismiss) {
  return h("div", { class: "failed", role: "alert" }, icon("warning"), h("span", null, words),
    h("button", { type: "button", class: "text-button", onclick: dismiss }, "Dismiss"));
}

function stamp(date) {
  return h("time", { class: "when", datetime: date.toISOString(), title: fullDate(date) }, messageTime(date));
}

function content(message, scene) {
  if (message.thinking) {
    return h("div", { class: "thinking", role: "status" }, h("span", { class: "dots" }, h("i"), h("i"), h("i")), `${authorOf(message, scene.store).name} is thinking…`);
  }
  const v2 = (message.flags & V2) !== 0;
  const embedded = shownByEmbeds(message);
  const edited = message.edited_timestamp && h("span", { class: "edited", title: `Edited ${fullDate(new Date(message.edited_timestamp))}` }, "(edited)");
  return h("div", { class: "message-content" },
    message.content && h("div", { class: "message-text" }, markdown(message.content, scene.names)),
    edited && !v2 && edited,
    (message.embeds ?? []).map((embed) => embedView(embed, message, scene.names)),
    !v2 && (message.attachments ?? []).filter((one) => !embedded.has(one.filename)).map((one) => attachmentView(one)),
    message.components?.length > 0 && componentsView(message.components, { ...scene, message }),
    edited && v2 && edited,
    message.reactions?.length > 0 && reactions(message, scene));
}

function reactions(message, scene) {
  return h("div", { class: "reactions" }, message.reactions.map((reaction) => {
    const name = reaction.emoji?.name ?? "?";
    const count = reaction.count ?? 1;
    return h("button", { type: "button", class: "reaction", onclick: () => scene.acts.react(message, name), data: { focusKey: `reaction ${name}` },
      "aria-label": `${name}, ${count} ${count === 1 ? "reaction" : "reactions"}. Add or take back yours` }, emojiOf(reaction.emoji), h("span", null, String(count)));
  }));
}

function context(message, scene) {
  const used = message.interaction_metadata;
  if (used?.user && used.name) {
    const who = scene.store.person(used.user.id) ?? { name: used.user.global_name ?? used.user.username };
    return h("div", { class: "context" }, h("span", { class: "elbow" }), avatar(who, "small"),
      h("b", { vars: { "--who": faceColour(who) } }, who.name), " used ",
      h("span", { class: "mention" }, `/${String(used.name).replace(/^\//, "")}`));
  }
  if (message.type !== 19 && !message.message_reference) return null;
  const original = message.referenced_message;
  if (!original) return message.type === 19 ? h("div", { class: "context" }, h("span", { class: "elbow" }), h("i", null, "The original message was deleted")) : null;
  const who = authorOf(original, scene.store);
  const pinged = (message.mentions ?? []).some((user) => user.id === who.id);
  return h("button", { type: "button", class: "context", onclick: () => scene.acts.jump(original.id), "aria-label": `In reply to ${who.name}: ${gist(original, scene.names).slice(0, 80)}` },
    h("span", { class: "elbow" }), avatar(who, "small"), h("b", { vars: { "--who": faceColour(who) } }, `${pinged ? "@" : ""}${who.name}`),
    h("span", { class: "context-text" }, emojiText(gist(original, scene.names).slice(0, 160))));
}

function tools(message, scene, { mine, hidden }) {
  const tool = (name, label, act) => h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick: act, data: { focusKey: `tool ${name}` } }, icon(name));
  return h("div", { class: "tools", role: "toolbar", "aria-label": "Message actions" },
    !hidden && tool("smile", "Add a reaction", (event) => scene.acts.pickReaction(message, event.currentTarget)),
    !hidden && tool("reply", "Reply", () => scene.acts.reply(message)),
    tool("copy", "Copy text", () => scene.acts.copy(message)),
    mine && !hidden && tool("close", "Delete", () => scene.acts.remove(message)));
}
