// Components of messages, old rows and version 2: containers, sections, texts, separators, galleries, files, buttons, selects.
// Knows their layout and who waits; must never run anything but the press or choice a person made.

import { attachmentNamed, attachmentView, covered, picture } from "./attachments.js";
import { cssColour, h, safeLink } from "./dom.js";
import { emojiOf } from "./emoji.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { selectControl } from "./selects.js";

const STYLE = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link", 6: "secondary" };

/** The components of a message. `scene`: {message, names, store, interactions}. */
export function componentsView(components, scene) {
  return h("div", { class: "components" }, components.map((component) => componentView(component, scene)));
}

function componentView(component, scene) {
  switch (component.type) {
    case 1: return h("div", { class: "row" }, (component.components ?? []).map((child) => componentView(child, scene)));
    case 2: return button(component, scene);
    case 3: case 5: case 6: case 7: case 8: return select(component, scene);
    case 9: return section(component, scene);
    case 10: return h("div", { class: "text-display" }, markdown(component.content, scene.names));
    case 11: return thumbnail(component, scene);
    case 12: return gallery(component, scene);
    case 13: return file(component, scene);
    case 14: return h("div", { class: `separator${component.divider === false ? " bare" : ""}${component.spacing === 2 ? " wide" : ""}`, role: component.divider === false ? null : "separator" });
    case 17: return container(component, scene);
    default: return h("div", { class: "unknown-part" }, `A part of a kind this page does not know (${component.type}).`);
  }
}

function container(component, scene) {
  const colour = cssColour(component.accent_color);
  const view = h("div", { class: colour ? "container accented" : "container", vars: colour ? { "--accent": colour } : {} },
    (component.components ?? []).map((child) => componentView(child, scene)));
  return component.spoiler ? covered(view) : view;
}

function section(component, scene) {
  return h("div", { class: component.accessory?.type === 11 ? "section pictured" : "section" },
    h("div", { class: "section-text" }, (component.components ?? []).map((child) => componentView(child, scene))),
    component.accessory && h("div", { class: "section-side" }, componentView(component.accessory, scene)));
}

function button(component, scene) {
  const label = [emojiOf(component.emoji), component.label && h("span", { class: "button-label" }, component.label)];
  const name = component.label || component.emoji?.name || "button";
  if (component.style === 5) {
    const href = safeLink(component.url);
    return h("a", { class: "button link", href: component.disabled ? null : href, target: "_blank", rel: "noopener noreferrer", "aria-disabled": component.disabled || null },
      label, icon("external"));
  }
  const busy = scene.interactions.isBusy(scene.message.id, component.custom_id);
  return h("button", {
    type: "button", class: `button ${STYLE[component.style] ?? "secondary"}${busy ? " busy" : ""}`, disabled: component.disabled, "aria-busy": busy || null,
    "aria-label": component.label ? null : name, data: { focusKey: component.custom_id ?? "" },
    onclick: () => { if (!busy) scene.interactions.act("press", scene.message, component.custom_id); },
  }, h("span", { class: "button-face" }, label), busy && h("span", { class: "dots", role: "img", "aria-label": "Waiting for the bot" }, h("i"), h("i"), h("i")));
}

function select(component, scene) {
  return selectControl(component, scene.store, {
    busy: scene.interactions.isBusy(scene.message.id, component.custom_id), focusKey: component.custom_id,
    changed: (values) => scene.interactions.act("select", scene.message, component.custom_id, values),
  }).element;
}

function mediaAddress(media, message) {
  return attachmentNamed(message, media?.url)?.url ?? media?.url;
}

function thumbnail(component, scene) {
  const view = h("div", { class: "thumbnail" }, picture(mediaAddress(component.media, scene.message), component.description, component.media));
  return component.spoiler ? covered(view) : view;
}

function gallery(component, scene) {
  const items = component.items ?? [];
  return h("div", { class: `gallery g${Math.min(items.length, 4)}` }, items.map((item) => {
    const view = h("div", { class: "gallery-item" }, picture(mediaAddress(item.media, scene.message), item.description, item.media));
    return item.spoiler ? covered(view) : view;
  }));
}

function file(component, scene) {
  const known = attachmentNamed(scene.message, component.file?.url)
    ?? (scene.message.attachments ?? []).find((attachment) => attachment.url === component.file?.url);
  const attachment = known ?? { filename: component.name ?? "file", size: component.size, url: component.file?.url, content_type: component.file?.content_type };
  return attachmentView(attachment, { spoiler: component.spoiler });
}
