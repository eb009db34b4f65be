// Faces: a person's initial in their colour, the bot's bird. Knows how to tell people apart; must never load a picture.

import { cssColour, h } from "./dom.js";
import { mark } from "./icons.js";

const HUES = ["#e0a458", "#5fb49c", "#7f9cf5", "#d87fa8", "#a58ee8", "#6fb7e9", "#d98c6a", "#9cb85f"];

/** A steady colour for somebody without one. */
export function faceColour(person) {
  if (person.bot) return "#ecd2a4";
  const own = cssColour(person.color);
  if (own) return own;
  let sum = 0;
  for (const letter of String(person.name ?? person.id ?? "")) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return HUES[sum % HUES.length];
}

/** A round face; decorative, the name stands beside it. `size` is "small", "large" or empty. */
export function avatar(person, size = "") {
  const letter = [...String(person.name ?? "?").trim()][0]?.toUpperCase() ?? "?";
  return h("span", { class: `avatar ${size}${person.bot ? " bot" : ""}`, vars: { "--who": faceColour(person) }, "aria-hidden": "true" }, person.bot ? mark() : letter);
}
