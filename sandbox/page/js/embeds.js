// Embeds of a message: accent, author, title, text, fields, pictures, footer. Knows their layout; must never load from outside.

import { attachmentNamed, picture } from "./attachments.js";
import { cssColour, h, safeLink } from "./dom.js";
import { markdown } from "./markdown.js";
import { messageTime } from "./timestamps.js";

/** One embed as an article. */
export function embedView(embed, message, names) {
  const at = (media) => attachmentNamed(message, media?.url)?.url ?? media?.url;
  const fields = (embed.fields ?? []).map((field) =>
    h("div", { class: field.inline ? "embed-field inline" : "embed-field" },
      h("div", { class: "embed-field-name" }, markdown(field.name, names, { inline: true })),
      h("div", { class: "embed-field-value" }, markdown(field.value, names))));
  const foot = [embed.footer?.text, embed.timestamp && messageTime(new Date(embed.timestamp))].filter(Boolean).join(" · ");
  return h("article", { class: "embed", vars: { "--accent": cssColour(embed.color) ?? "var(--line-strong)" } },
    embed.thumbnail?.url && h("div", { class: "embed-thumb" }, picture(at(embed.thumbnail), "Thumbnail", embed.thumbnail)),
    embed.provider?.name && h("div", { class: "embed-provider" }, embed.provider.name),
    embed.author?.name && h("div", { class: "embed-author" }, linked(embed.author.name, embed.author.url)),
    embed.title && h("div", { class: "embed-title" }, linked(markdown(embed.title, names, { inline: true }), embed.url)),
    embed.description && h("div", { class: "embed-description" }, markdown(embed.description, names)),
    fields.length > 0 && h("div", { class: "embed-fields" }, fields),
    embed.image?.url && h("div", { class: "embed-image" }, picture(at(embed.image), "Picture", embed.image)),
    foot && h("footer", { class: "embed-foot" }, foot));
}

/** Names of the attachments that embeds show, which are then not listed as files. */
export function shownByEmbeds(message) {
  const names = new Set();
  for (const embed of message.embeds ?? []) {
    for (const media of [embed.image, embed.thumbnail]) {
      const direct = attachmentNamed(message, media?.url) ?? (message.attachments ?? []).find((one) => one.url === media?.url);
      if (direct) names.add(direct.filename);
    }
  }
  return names;
}

function linked(content, address) {
  const href = address ? safeLink(address) : null;
  return href ? h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, content) : content;
}
