// Files of a message: cards, pictures, text previews. Knows sizes and kinds;
// must never load anything from another origin, nor show a file as anything but text or a picture.

import { ansiNodes } from "./ansi.js";
import { h, localAddress, safeLink } from "./dom.js";
import { icon } from "./icons.js";

const TEXT_NAMES = /\.(txt|log|json|ya?ml|toml|ini|cfg|conf|properties|md|csv|xml|lua|py|js|sh|diff|out)$/i;
const PREVIEW_LINES = 6;
const PREVIEW_BYTES = 120000;
const previews = new Map(); // address -> text, so that an edited message does not fetch again

/** "12.4 kB" for a count of bytes. */
export function fileSize(bytes) {
  if (!Number.isFinite(bytes)) return "";
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ["kB", "MB", "GB"];
  let size = bytes / 1000;
  let unit = 0;
  while (size >= 999.5 && unit < 2) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** The attachment `attachment://name` means, or null. */
export function attachmentNamed(message, address) {
  const name = /^attachment:\/\/(.+)$/.exec(String(address ?? ""))?.[1];
  return name ? (message.attachments ?? []).find((attachment) => attachment.filename === name) ?? null : null;
}

/** One attached file, as a picture, a text with a preview, or a card. */
export function attachmentView(attachment, { spoiler = false } = {}) {
  const address = localAddress(attachment.url);
  const type = attachment.content_type ?? "";
  let view;
  if (/^image\/(png|jpe?g|gif|webp|avif)/.test(type) && address) view = picture(attachment.url, attachment.description ?? attachment.filename, attachment);
  else {
    view = h("div", { class: "file" }, card(attachment, address));
    if (address && (type.startsWith("text/") || type.startsWith("application/json") || TEXT_NAMES.test(attachment.filename ?? ""))) {
      view.append(textPreview(address, attachment.filename));
    }
  }
  return spoiler || attachment.filename?.startsWith("SPOILER_") ? covered(view) : view;
}

/** A picture from the sandbox; one from elsewhere becomes a link, because this page loads nothing from outside. */
export function picture(address, description, size = {}) {
  const local = String(address ?? "").startsWith("data:image/") ? null : localAddress(address);
  const words = description || "Picture";
  if (!local) {
    const href = safeLink(address);
    return h("div", { class: "picture-away", title: `${words}: not loaded, it lies outside this computer` }, icon("image"),
      h("span", null, `${words}: not loaded, it lies outside this computer`), href && h("a", { href, target: "_blank", rel: "noopener noreferrer" }, "Open"));
  }
  const image = h("img", { src: local, alt: words, loading: "lazy", width: size.width ?? null, height: size.height ?? null });
  image.addEventListener("error", () => image.replaceWith(h("div", { class: "picture-away" }, icon("image"), h("span", null, `${words}: could not be loaded`))), { once: true });
  return h("a", { class: "picture", href: local, target: "_blank", rel: "noopener", "aria-label": `Open picture: ${words}` }, image);
}

/** Hides a view until it is asked for. */
export function covered(view) {
  const wrap = h("div", { class: "cover" }, h("div", { class: "cover-inner", inert: true }, view));
  wrap.append(h("button", { type: "button", class: "cover-button", onclick: (event) => {
    wrap.classList.add("open");
    wrap.firstElementChild.removeAttribute("inert");
    event.currentTarget.remove();
  } }, "Show spoiler"));
  return wrap;
}

function card(attachment, address) {
  const title = attachment.filename ?? attachment.name ?? "file";
  return h("div", { class: "file-card" }, icon("file", "file-icon"),
    h("div", { class: "file-words" },
      h("span", { class: "file-name" }, title),
      h("span", { class: "file-size" }, [fileSize(attachment.size), attachment.description].filter(Boolean).join(" · "))),
    address && h("a", { class: "icon-button", href: address, download: title, "aria-label": `Download ${title}`, title: "Download" }, icon("download")));
}

function textPreview(address, name) {
  const body = h("pre", { class: "file-text", tabindex: "0", "aria-label": `Beginning of ${name}` });
  const more = h("button", { type: "button", class: "file-more", "aria-expanded": "false", hidden: true });
  const box = h("div", { class: "file-preview" }, body, more);
  const show = (text) => {
    const lines = text.replace(/\n+$/, "").split("\n");
    const draw = (open) => {
      body.replaceChildren(...ansiNodes((open ? lines : lines.slice(0, PREVIEW_LINES)).join("\n")));
      box.classList.toggle("open", open);
      more.setAttribute("aria-expanded", String(open));
      more.replaceChildren(icon("expand"), open ? "Show less" : `Show all ${lines.length.toLocaleString("en-GB")} lines`);
    };
    more.hidden = lines.length <= PREVIEW_LINES;
    more.onclick = () => draw(more.getAttribute("aria-expanded") !== "true");
    draw(false);
  };
  if (previews.has(address)) show(previews.get(address));
  else {
    body.textContent = "Loading…";
    loadText(address).then((text) => {
      if (previews.size > 60) previews.clear();
      previews.set(address, text);
      show(text);
    }, () => { body.textContent = "The preview could not be loaded; use Download."; });
  }
  return box;
}

async function loadText(address) {
  const answer = await fetch(address);
  if (!answer.ok || !answer.body) throw new Error(`status ${answer.status}`);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    text += decoder.decode(value, { stream: true });
    if (size > PREVIEW_BYTES) {
      await reader.cancel();
      return `${text.slice(0, text.lastIndexOf("\n"))}\n… (the rest is in the download)`;
    }
  }
}
