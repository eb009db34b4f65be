// Builds DOM nodes. Knows elements, attributes and listeners; must never parse a string as markup:
// every piece of data becomes a text node or an attribute value, so nothing a message says can become code.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (`onclick`), CSS variables (`vars`) and children (strings become text nodes). */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on") && typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, text);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "value" && "value" in element) element.value = value;
    else element.setAttribute(key === "class" ? "class" : key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Adds children of any shape: nodes, strings, nested lists; null, undefined and false are skipped. */
export function append(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return parent;
}

/** An SVG element; attributes only, no text. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, String(value));
  for (const child of children.flat()) element.append(child);
  return element;
}

/** Replaces all children in one go. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

/** A web address that may be followed by a person, or null: http, https and mailto only. */
export function safeLink(address) {
  try {
    const url = new URL(String(address), document.baseURI);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** The same-origin address of something the sandbox serves, or null when it lies elsewhere: the page loads nothing from outside. */
export function localAddress(address) {
  try {
    const url = new URL(String(address), document.baseURI);
    const loopback = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"];
    const here = url.host === location.host
      || (loopback.includes(url.hostname) && loopback.includes(location.hostname) && url.port === location.port);
    if (!["http:", "https:"].includes(url.protocol) || !here) return null;
    return url.pathname + url.search;
  } catch {
    return null;
  }
}

let counter = 0;

/** An id for aria references, unique in this page. */
export function freshId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/** A Discord colour number (or "#rrggbb") as CSS, or null for "no colour". */
export function cssColour(colour) {
  if (typeof colour === "string" && /^#[0-9a-f]{6}$/i.test(colour)) return colour;
  const number = Number(colour);
  if (!Number.isInteger(number) || number <= 0 || number > 0xffffff) return null;
  return `#${number.toString(16).padStart(6, "0")}`;
}

/** True on a phone's width, where menus become sheets. */
export function isNarrow() {
  return window.matchMedia("(max-width: 760px)").matches;
}
