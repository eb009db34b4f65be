// Terminal colours inside ```ansi blocks, as far as Discord draws them: 0, 1, 4, 30-37, 40-47 (90-97 as bright).
// Knows escape codes; must never let one through as text or as markup.

import { h } from "./dom.js";

const ESCAPE = /\u001b\[([0-9;:]*)([A-Za-z])|\u001b[@-Z\\-_]|\u001b/g;

/** Nodes for a text with escape codes: plain text nodes and coloured spans. */
export function ansiNodes(text) {
  const nodes = [];
  let style = {};
  let from = 0;
  const push = (until) => {
    if (until > from) nodes.push(styled(text.slice(from, until), style));
  };
  for (const match of text.matchAll(ESCAPE)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === "m") style = after(style, match[1]);
  }
  push(text.length);
  return nodes;
}

/** The text without any escape code, for copying. */
export function plain(text) {
  return text.replace(ESCAPE, "");
}

function styled(text, style) {
  const classes = [];
  if (style.bold) classes.push("ansi-bold");
  if (style.underline) classes.push("ansi-underline");
  if (style.front !== undefined) classes.push(`ansi-f${style.front}`);
  if (style.bright) classes.push("ansi-bright");
  if (style.back !== undefined) classes.push(`ansi-b${style.back}`);
  return classes.length ? h("span", { class: classes.join(" ") }, text) : document.createTextNode(text);
}

function after(style, parameters) {
  let next = { ...style };
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) next = {};
    else if (code === 1) next.bold = true;
    else if (code === 4) next.underline = true;
    else if (code === 22) next.bold = false;
    else if (code === 24) next.underline = false;
    else if (code >= 30 && code <= 37) Object.assign(next, { front: code - 30, bright: false });
    else if (code >= 90 && code <= 97) Object.assign(next, { front: code - 90, bright: true });
    else if (code === 39) Object.assign(next, { front: undefined, bright: false });
    else if (code >= 40 && code <= 47) next.back = code - 40;
    else if (code === 49) next.back = undefined;
    else if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4; // 256 and true colours are not drawn, by Discord neither
  }
  return next;
}
