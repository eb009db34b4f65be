// Discord's markdown as DOM nodes. Knows the grammar; must never build markup from strings.
// Text is untrusted and may be hostile: every search is bounded, and what does not parse stays text.

import { ansiNodes, plain } from "./ansi.js";
import { h, safeLink } from "./dom.js";
import { emojiText } from "./emoji.js";
import { icon } from "./icons.js";
import { timestamp } from "./timestamps.js";

const DEPTH = 10;
const BUDGET = 60000;
const FENCE = /```(?:([A-Za-z0-9_+#.-]{1,24})\n)?\n?([\s\S]*?)\n*```/y;
const HEADING = /^(#{1,3})\s+(\S.*)$/;
const SUBTEXT = /^-#\s+(\S.*)$/;
const ITEM = /^( {0,12})([-*]|\d{1,9}\.)\s+(.*)$/;
const LINK = /\[((?:\\.|[^[\]\\]){1,600})\]\(<?(https?:\/\/[^\s<>)]{1,1000})>?(?:\s+"[^"\n]{0,200}")?\)/y;
const URL_TEXT = /https?:\/\/[^\s<>]{1,1000}/y;
const ANGLE = /<(?:(@[!&]?|#)(\d{1,20})|\/([^:<>\n]{1,110}):(\d{1,20})|t:(-?\d{1,13})(?::([tTdDfFRsS]))?|(a?):(\w{2,32}):(\d{1,20})|(https?:\/\/[^\s<>]{1,1000}))>/y;
const MARKS = [["***", ["strong", "em"]], ["**", ["strong"]], ["__", ["u"]], ["~~", ["s"]], ["||", ["spoiler"]], ["*", ["em"]], ["_", ["em"]]];

/**
 * A fragment for a text. `names` resolves what is mentioned: {person(id), role(id), channel(id), openChannel(id), useCommand(name)},
 * each lookup giving {name, color} or null. `inline` leaves out blocks (titles, labels, buttons).
 */
export function markdown(text, names, { inline = false } = {}) {
  const fragment = document.createDocumentFragment();
  const state = { names, budget: BUDGET };
  const source = String(text ?? "").replace(/\r\n?/g, "\n");
  fragment.append(...(inline ? inlineNodes(source, state, 0) : blockNodes(source, state, 0)));
  return fragment;
}

/** The text a screen reader or a one-line preview gets: marks removed, mentions by name. */
export function plainText(text, names) {
  return [...markdown(plain(String(text ?? "")), names).childNodes].map((node) => node.textContent).join(" ").replace(/\s+/g, " ").trim();
}

function blockNodes(text, state, depth) {
  const nodes = [];
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) nodes.push(h("div", { class: "md-text" }, inlineNodes(paragraph.join("\n"), state, depth)));
    paragraph = [];
  };
  let at = 0;
  while (at < text.length) {
    const end = lineEnd(text, at);
    const line = text.slice(at, end);
    if (depth < DEPTH && line.startsWith(">>> ")) {
      flush();
      nodes.push(h("blockquote", null, blockNodes(text.slice(at + 4), state, depth + 1)));
      return nodes;
    }
    if (depth < DEPTH && line.startsWith("> ")) {
      flush();
      const [inner, next] = takeLines(text, at, (candidate) => candidate.startsWith("> ") || candidate === ">");
      nodes.push(h("blockquote", null, blockNodes(inner.map((quoted) => quoted.slice(2)).join("\n"), state, depth + 1)));
      at = next;
      continue;
    }
    const fence = line.indexOf("```");
    if (fence >= 0) {
      FENCE.lastIndex = at + fence;
      const match = FENCE.exec(text);
      if (match && match[2].trim()) {
        if (fence > 0) paragraph.push(line.slice(0, fence));
        flush();
        nodes.push(codeBlock(match[1], match[2]));
        at = FENCE.lastIndex;
        if (text[at] === "\n") at += 1;
        continue;
      }
    }
    const heading = HEADING.exec(line);
    const subtext = SUBTEXT.exec(line);
    if (heading || subtext) {
      flush();
      nodes.push(heading
        ? h("div", { class: `md-h${heading[1].length}`, role: "heading", "aria-level": heading[1].length + 2 }, inlineNodes(heading[2], state, depth))
        : h("div", { class: "md-subtext" }, inlineNodes(subtext[1], state, depth)));
      at = end + 1;
      continue;
    }
    if (ITEM.test(line)) {
      flush();
      const [lines, next] = takeLines(text, at, (candidate) => ITEM.test(candidate));
      nodes.push(...lists(lines, state, depth));
      at = next;
      continue;
    }
    paragraph.push(line);
    at = end + 1;
  }
  flush();
  return nodes;
}

function lineEnd(text, at) {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end;
}

function takeLines(text, at, belongs) {
  const lines = [];
  while (at < text.length) {
    const end = lineEnd(text, at);
    const line = text.slice(at, end);
    if (!belongs(line)) break;
    lines.push(line);
    at = end + 1;
  }
  return [lines, at];
}

function lists(lines, state, depth) {
  const roots = [];
  const open = []; // [{indent, element}]
  for (const line of lines) {
    const [, space, sign, content] = ITEM.exec(line);
    const ordered = /\d/.test(sign);
    while (open.length && open.at(-1).indent > space.length) open.pop();
    if (open.length && open.at(-1).indent === space.length && (open.at(-1).element.tagName === "OL") !== ordered) open.pop();
    if (!open.length || open.at(-1).indent < space.length) {
      const list = h(ordered ? "ol" : "ul", ordered ? { start: parseInt(sign, 10) } : null);
      const parent = open.at(-1)?.element.lastElementChild;
      if (parent) parent.append(list);
      else roots.push(list);
      open.push({ indent: space.length, element: list });
    }
    open.at(-1).element.append(h("li", null, inlineNodes(content, state, depth + 1)));
  }
  return roots;
}

function codeBlock(language, body) {
  const name = language?.toLowerCase() ?? "";
  const code = h("code", name ? { "data-language": name } : null, name === "ansi" ? ansiNodes(body) : name === "diff" ? diffNodes(body) : plain(body));
  const copy = h("button", { type: "button", class: "code-copy", "aria-label": "Copy this block", title: "Copy" }, icon("copy"));
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(plain(body));
      copy.replaceChildren(icon("check"));
      setTimeout(() => copy.replaceChildren(icon("copy")), 1500);
    } catch {
      const range = document.createRange(); // no clipboard without permission: select it, so that a key press copies it
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    }
  });
  return h("div", { class: "code-block" }, h("pre", { tabindex: "0", "aria-label": name === "ansi" ? "Console output" : "Code" }, code), copy);
}

function diffNodes(body) {
  return body.split("\n").map((line, index, all) => {
    const kind = line.startsWith("+") ? "ansi-f2" : line.startsWith("-") ? "ansi-f1" : null;
    const text = index < all.length - 1 ? `${line}\n` : line;
    return kind ? h("span", { class: kind }, text) : document.createTextNode(text);
  });
}

function inlineNodes(text, state, depth) {
  const nodes = [];
  let literal = "";
  const flush = () => {
    if (literal) nodes.push(...emojiText(literal));
    literal = "";
  };
  let at = 0;
  while (at < text.length) {
    const found = depth < DEPTH && state.budget > 0 ? special(text, at, state, depth) : null;
    if (found === null) {
      literal += text[at];
      at += 1;
    } else if (typeof found.node === "string") {
      literal += found.node;
      at = found.end;
    } else {
      flush();
      nodes.push(...[found.node].flat());
      at = found.end;
    }
  }
  flush();
  return nodes;
}

function special(text, at, state, depth) {
  switch (text[at]) {
    case "\\": return /[^A-Za-z0-9\s]/.test(text[at + 1] ?? "") ? { node: text[at + 1], end: at + 2 } : null;
    case "`": return codeSpan(text, at);
    case "<": return angle(text, at, state);
    case "[": return maskedLink(text, at, state, depth);
    case "h": return bareLink(text, at);
    case "@": return everyone(text, at);
    case "*": case "_": case "~": case "|": return marked(text, at, state, depth);
    default: return null;
  }
}

function codeSpan(text, at) {
  const end = codeEnd(text, at);
  if (end < 0) return null;
  const size = /^`+/.exec(text.slice(at, at + 12))[0].length;
  const inner = text.slice(at + size, end - size);
  return { node: h("code", { class: "md-code" }, plain(inner.trim() ? inner.trim() : inner)), end };
}

/** Where the code span that opens at `at` ends, or -1. */
function codeEnd(text, at) {
  const size = /^`+/.exec(text.slice(at, at + 12))[0].length;
  const run = "`".repeat(size);
  let close = text.indexOf(run, at + size);
  while (close >= 0 && text[close + size] === "`") close = text.indexOf(run, close + size + 1);
  return close > at + size ? close + size : -1;
}

function marked(text, at, state, depth) {
  for (const [mark, tags] of MARKS) {
    if (!text.startsWith(mark, at)) continue;
    if (mark === "_" && /\w/.test(text[at - 1] ?? "")) continue;
    if (mark === "*" && /\s/.test(text[at + 1] ?? " ")) continue;
    const close = closing(text, at + mark.length, mark, state);
    if (close < 0) continue;
    let inner = inlineNodes(text.slice(at + mark.length, close), state, depth + 1);
    for (const tag of [...tags].reverse()) inner = [tag === "spoiler" ? spoiler(inner) : h(tag, null, inner)];
    return { node: inner, end: close + mark.length };
  }
  return null;
}

function closing(text, from, mark, state) {
  const one = mark.length === 1;
  for (let at = from; at < text.length; at += 1) {
    state.budget -= 1;
    if (state.budget <= 0) return -1;
    const letter = text[at];
    if (letter === "\\") at += 1;
    else if (letter === "`") {
      const end = codeEnd(text, at);
      if (end > 0) at = end - 1;
    } else if (text.startsWith(mark, at)) {
      if (one && text[at + 1] === mark && text[at + 2] !== mark) at += 1; // a doubled mark belongs to bold or underline inside
      else if (at === from) continue;
      else if (mark === "*" && /\s/.test(text[at - 1])) continue;
      else if (mark === "_" && /\w/.test(text[at + 1] ?? "")) continue;
      else {
        let end = at; // in a longer run the last ones close the outer mark
        while (mark.length === 2 && text[end + mark.length] === mark[0]) end += 1;
        return end;
      }
    }
  }
  return -1;
}

function spoiler(inner) {
  const cover = h("span", { class: "spoiler", role: "button", tabindex: "0", "aria-label": "Spoiler, press to reveal", "aria-expanded": "false" },
    h("span", { class: "spoiler-text", "aria-hidden": "true" }, inner));
  const reveal = (event) => {
    if (cover.classList.contains("open") || (event.type === "keydown" && !["Enter", " "].includes(event.key))) return;
    event.preventDefault();
    event.stopPropagation();
    cover.classList.add("open");
    cover.firstElementChild.removeAttribute("aria-hidden");
    for (const name of ["role", "tabindex", "aria-label", "aria-expanded"]) cover.removeAttribute(name);
  };
  cover.addEventListener("click", reveal);
  cover.addEventListener("keydown", reveal);
  return cover;
}

function angle(text, at, state) {
  ANGLE.lastIndex = at;
  const match = ANGLE.exec(text);
  if (!match) return null;
  const end = ANGLE.lastIndex;
  const [, kind, id, command, , seconds, style, , emoji, , address] = match;
  if (kind) return { node: mention(kind, id, state.names), end };
  if (command) return { node: commandMention(command, state.names), end };
  if (emoji) return { node: h("span", { class: "emoji-name" }, `:${emoji}:`), end };
  if (address) return { node: link(address, [address]), end };
  const node = timestamp(Number(seconds), style ?? "f");
  return node && { node, end };
}

function mention(kind, id, names) {
  if (kind === "#") {
    const channel = names.channel(id);
    if (!channel) return h("span", { class: "mention" }, "#unknown");
    return h("button", { type: "button", class: "mention", onclick: () => names.openChannel(id) }, `#${channel.name}`);
  }
  const target = kind === "@&" ? names.role(id) : names.person(id);
  const colour = target?.css;
  const name = target?.name ?? (kind === "@&" ? "deleted-role" : "unknown-user");
  return h("span", { class: colour ? "mention coloured" : "mention", vars: colour ? { "--who": colour } : {} },
    name.startsWith("@") ? name : `@${name}`);
}

function commandMention(command, names) {
  return h("button", { type: "button", class: "mention", onclick: () => names.useCommand(command) }, `/${command}`);
}

function everyone(text, at) {
  const match = /^@(everyone|here)\b/.exec(text.slice(at, at + 10));
  return match && { node: h("span", { class: "mention" }, match[0]), end: at + match[0].length };
}

function maskedLink(text, at, state, depth) {
  LINK.lastIndex = at;
  const match = LINK.exec(text);
  if (!match) return null;
  return { node: link(match[2], inlineNodes(match[1], state, DEPTH - 1 > depth ? depth + 1 : depth)), end: LINK.lastIndex };
}

function bareLink(text, at) {
  URL_TEXT.lastIndex = at;
  const match = URL_TEXT.exec(text);
  if (!match) return null;
  let address = match[0].replace(/[.,:;"'\]!?*_~|]+$/, "");
  if (address.endsWith(")") && !address.includes("(")) address = address.slice(0, -1);
  return { node: link(address, [address]), end: at + address.length };
}

function link(address, content) {
  const href = safeLink(address);
  if (!href) return h("span", null, content);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", title: href }, content);
}
