// Emoji: the common ones are drawn by this page, so that a machine without an emoji font shows the same signs.
// Knows drawings and names; must never load a picture. Whatever is not drawn here stays text and gets the system's font.

import { h, svg } from "./dom.js";

const dot = (colour) => () => [svg("circle", { cx: 12, cy: 12, r: 9, fill: colour })];
const square = (colour) => () => [svg("rect", { x: 3.5, y: 3.5, width: 17, height: 17, rx: 3, fill: colour })];
const key = (path, fill = "#4b83e8") => () => [
  svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 5, fill }), svg("path", { d: path, fill: "#fff" })];
const stroke = (d, colour, width = 2.2) =>
  svg("path", { d, fill: "none", stroke: colour, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" });
const shape = (d, fill) => svg("path", { d, fill });

const DRAWN = {
  "🟢": ["green circle", dot("#3fbf7f")], "🔴": ["red circle", dot("#e5535f")], "🟡": ["yellow circle", dot("#f2c14e")],
  "🟠": ["orange circle", dot("#f08a3c")], "🔵": ["blue circle", dot("#4b83e8")], "🟣": ["purple circle", dot("#a072e0")],
  "⚫": ["black circle", dot("#3a4150")], "⚪": ["white circle", dot("#dfe5ee")],
  "🟩": ["green square", square("#3fbf7f")], "🟥": ["red square", square("#e5535f")], "🟨": ["yellow square", square("#f2c14e")],
  "🟦": ["blue square", square("#4b83e8")], "⬛": ["black square", square("#3a4150")], "⬜": ["white square", square("#dfe5ee")],
  "✅": ["done", () => [svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 5, fill: "#35a86c" }), stroke("M7 12.5l3.5 3.5L17 8.5", "#fff", 2.8)]],
  "☑": ["ticked", () => [svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 5, fill: "#4b83e8" }), stroke("M7 12.5l3.5 3.5L17 8.5", "#fff", 2.8)]],
  "✔": ["tick", () => [stroke("M4 13l5 5L20 6", "#3fbf7f", 3)]],
  "❌": ["cross", () => [stroke("M5 5l14 14M19 5L5 19", "#e5535f", 3.6)]],
  "✖": ["cross", () => [stroke("M6 6l12 12M18 6L6 18", "#dfe5ee", 3)]],
  "⛔": ["no entry", () => [svg("circle", { cx: 12, cy: 12, r: 10, fill: "#e5535f" }), svg("rect", { x: 6, y: 10.3, width: 12, height: 3.4, rx: 1, fill: "#fff" })]],
  "🚫": ["forbidden", () => [svg("circle", { cx: 12, cy: 12, r: 8.5, fill: "none", stroke: "#e5535f", "stroke-width": 2.6 }), stroke("M6 6l12 12", "#e5535f", 2.6)]],
  "⚠": ["warning", () => [shape("M12 2.5L22.5 21h-21z", "#f2c14e"), stroke("M12 9v5.5M12 17.5v.3", "#2a2412", 2.2)]],
  "ℹ": ["information", key("M10.7 10h2.6v8h-2.6zM10.7 6h2.6v2.6h-2.6z")],
  "❓": ["question", () => [stroke("M8 8a4 4 0 118 0c0 3-4 3-4 6M12 19v.3", "#e5535f", 3)]],
  "❗": ["exclamation", () => [stroke("M12 4v10M12 19v.3", "#e5535f", 3.6)]],
  "▶": ["start", key("M9 6.5l9 5.5-9 5.5z")], "⏹": ["stop", key("M7 7h10v10H7z")],
  "⏸": ["pause", key("M7 6.5h3.5v11H7zM13.5 6.5H17v11h-3.5z")], "⏺": ["record", key("M12 7a5 5 0 100 10 5 5 0 000-10z")],
  "⏭": ["next", key("M6 7l7 5-7 5zM14 7h3v10h-3z")], "⏮": ["previous", key("M18 7l-7 5 7 5zM7 7h3v10H7z")],
  "⏩": ["fast forward", key("M5 7l7 5-7 5zM12 7l7 5-7 5z")],
  "🔄": ["refresh", () => [svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 5, fill: "#4b83e8" }), stroke("M7 10a5.5 5.5 0 019.5-1.5M17 5.5v3.5h-3.5M17 14a5.5 5.5 0 01-9.5 1.5M7 18.5V15h3.5", "#fff", 1.9)]],
  "🔁": ["repeat", () => [svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 5, fill: "#4b83e8" }), stroke("M7 11V9.5A2.5 2.5 0 019.5 7H17l-2-2M17 13v1.5a2.5 2.5 0 01-2.5 2.5H7l2 2", "#fff", 1.9)]],
  "♻": ["recycle", () => [stroke("M7 10a5.5 5.5 0 019.5-1.5M17 5.5v3.5h-3.5M17 14a5.5 5.5 0 01-9.5 1.5M7 18.5V15h3.5", "#3fbf7f", 2.4)]],
  "⏳": ["hourglass", () => [shape("M6 3h12v3c0 3-3.5 4-3.5 6s3.5 3 3.5 6v3H6v-3c0-3 3.5-4 3.5-6S6 9 6 6z", "#d9b98a"), shape("M8.5 18.5c.5-2 2-3 3.5-3s3 1 3.5 3zM9 6.5h6c-.5 1.5-2 2.5-3 2.5s-2.5-1-3-2.5z", "#f08a3c")]],
  "⌛": ["hourglass", () => [shape("M6 3h12v3c0 3-3.5 4-3.5 6s3.5 3 3.5 6v3H6v-3c0-3 3.5-4 3.5-6S6 9 6 6z", "#d9b98a"), shape("M8 19c.5-3 2-4.5 4-4.5s3.5 1.5 4 4.5z", "#f08a3c")]],
  "⏱": ["stopwatch", () => [svg("circle", { cx: 12, cy: 13.5, r: 8, fill: "#dfe5ee" }), stroke("M12 13.5V9M9.5 2.5h5M12 2.5v3", "#4a5363", 2.2)]],
  "🕒": ["clock", () => [svg("circle", { cx: 12, cy: 12, r: 9.5, fill: "#dfe5ee" }), stroke("M12 6.5V12h4", "#4a5363", 2.2)]],
  "⏰": ["alarm", () => [svg("circle", { cx: 12, cy: 13, r: 8, fill: "#e5535f" }), svg("circle", { cx: 12, cy: 13, r: 5.8, fill: "#fff" }), stroke("M12 9.5V13h2.5M4 6l3-3M20 6l-3-3", "#a93743", 1.8)]],
  "💀": ["skull", () => [shape("M12 2.5c5.5 0 9 3.5 9 8.5 0 3-1.5 5-3.5 6v4h-11v-4C4.5 16 3 14 3 11c0-5 3.5-8.5 9-8.5z", "#dfe5ee"), shape("M8 9.5a2.2 2.2 0 100 4.4 2.2 2.2 0 000-4.4zM16 9.5a2.2 2.2 0 100 4.4 2.2 2.2 0 000-4.4zM12 14.5l1.2 2.5h-2.4z", "#2b313d")]],
  "💥": ["bang", () => [shape("M12 1.5l2.2 5.2L19.5 4l-1.3 5.5 5 1.5-4.5 3.2 2.8 5-5.5-.8L13.5 23l-3-4.6L5.5 21l.6-5.6L1 13l4.8-2.4L3.5 5l5.6 2z", "#f08a3c"), svg("circle", { cx: 12.3, cy: 12.5, r: 4, fill: "#f2c14e" })]],
  "🔥": ["fire", () => [shape("M13 1.5c1 4.5 6.5 6.5 6.5 13a7.5 7.5 0 01-15 0c0-3 1.5-5 3-6.5.3 1.7 1 2.7 2 3C9 7.5 10.5 4 13 1.5z", "#f08a3c"), shape("M12.5 11c.5 2.5 3 3.5 3 6.3a3.5 3.5 0 01-7 0c0-2.3 2.5-3.5 4-6.3z", "#f2c14e")]],
  "👍": ["thumbs up", () => [shape("M9 10l3.5-7.5c2 0 3 1.3 2.6 3.3L14.5 9H19c1.5 0 2.5 1.2 2.2 2.7l-1.4 6.6A2.7 2.7 0 0117 20.5H9zM3 10h4v10.5H3z", "#f2c14e")]],
  "👎": ["thumbs down", () => [shape("M9 14l3.5 7.5c2 0 3-1.3 2.6-3.3L14.5 15H19c1.5 0 2.5-1.2 2.2-2.7l-1.4-6.6A2.7 2.7 0 0017 3.5H9zM3 3.5h4V14H3z", "#f2c14e")]],
  "❤": ["heart", () => [shape("M12 21S2.5 15 2.5 8.5A5 5 0 0112 6.3 5 5 0 0121.5 8.5C21.5 15 12 21 12 21z", "#e5535f")]],
  "🎉": ["party", () => [shape("M3 21l5-13 8 8z", "#f2c14e"), stroke("M14 9c2-1 2-4 1-6M16 11c2-1 4-1 5.5.5M18 6.5h.2M20 16.5h.2", "#a072e0", 2.2)]],
  "👀": ["eyes", () => [shape("M7 4c2.7 0 4.5 3.5 4.5 8S9.7 20 7 20s-4.5-3.5-4.5-8S4.3 4 7 4zM17 4c2.7 0 4.5 3.5 4.5 8s-1.8 8-4.5 8-4.5-3.5-4.5-8S14.3 4 17 4z", "#eef2f8"), shape("M6 10a2 2.8 0 110 5.6 2 2.8 0 010-5.6zM16 10a2 2.8 0 110 5.6 2 2.8 0 010-5.6z", "#2b313d")]],
  "👋": ["wave", () => [shape("M6 12L4 7.5c-.5-1.5 1.5-2.3 2.2-1L8 10 6.5 5c-.4-1.6 1.7-2.3 2.4-.8L11 9l-.8-4.5c-.2-1.6 2-2 2.5-.5L14 9.5l.8-2.5c.6-1.4 2.5-.8 2.3.7L16 15c-.6 3.5-3 6-6 5-2.5-.8-3-4-4-8z", "#f2c14e")]],
  "🔒": ["locked", () => [stroke("M7.5 11V8a4.5 4.5 0 019 0v3", "#aeb8c8", 2.4), svg("rect", { x: 4.5, y: 10.5, width: 15, height: 11, rx: 2.5, fill: "#f2c14e" })]],
  "🔓": ["unlocked", () => [stroke("M7.5 11V8a4.5 4.5 0 018.7-1.5", "#aeb8c8", 2.4), svg("rect", { x: 4.5, y: 10.5, width: 15, height: 11, rx: 2.5, fill: "#f2c14e" })]],
  "📌": ["pinned", () => [shape("M9 2.5h6l-.7 7 3.7 4.5H6l3.7-4.5z", "#e5535f"), stroke("M12 14v7.5", "#aeb8c8", 2)]],
  "📍": ["place", () => [shape("M12 2a7 7 0 017 7c0 5-7 13-7 13S5 14 5 9a7 7 0 017-7z", "#e5535f"), svg("circle", { cx: 12, cy: 9, r: 2.6, fill: "#fff" })]],
  "📄": ["page", () => [shape("M5 2h9l5 5v15H5z", "#eef2f8"), stroke("M8.5 11h7M8.5 14.5h7M8.5 18h4", "#8a95a8", 1.6)]],
  "📋": ["clipboard", () => [svg("rect", { x: 4, y: 3.5, width: 16, height: 18.5, rx: 2, fill: "#b98652" }), svg("rect", { x: 6.5, y: 6.5, width: 11, height: 13, fill: "#eef2f8" }), svg("rect", { x: 8.5, y: 2, width: 7, height: 4, rx: 1, fill: "#8a95a8" })]],
  "📜": ["scroll", () => [shape("M6 3h13v15a3 3 0 01-3 3H5a3 3 0 01-3-3h9V6H6z", "#e6d3ad"), stroke("M10 7.5h6M10 11h6M12 14.5h4", "#a8905f", 1.5)]],
  "📦": ["package", () => [shape("M3 7.5L12 3l9 4.5V17l-9 4.5L3 17z", "#c2925c"), stroke("M3 7.5l9 4.5 9-4.5M12 12v9.5M7.5 5.3l9 4.5", "#7d5a32", 1.5)]],
  "💾": ["disk", () => [shape("M3 3h14l4 4v14H3z", "#4b83e8"), svg("rect", { x: 7, y: 3, width: 9, height: 6, fill: "#dfe5ee" }), svg("rect", { x: 6, y: 12.5, width: 12, height: 8.5, fill: "#eef2f8" })]],
  "🖥": ["screen", () => [svg("rect", { x: 2, y: 3.5, width: 20, height: 13, rx: 1.8, fill: "#8a95a8" }), svg("rect", { x: 4, y: 5.5, width: 16, height: 9, fill: "#243044" }), shape("M9.5 16.5h5l1 4h-7z", "#8a95a8")]],
  "💻": ["laptop", () => [svg("rect", { x: 4, y: 4, width: 16, height: 11.5, rx: 1.5, fill: "#8a95a8" }), svg("rect", { x: 5.8, y: 5.8, width: 12.4, height: 8, fill: "#243044" }), shape("M1.5 17h21l-1 2.5h-19z", "#aeb8c8")]],
  "🎮": ["game", () => [shape("M7 7h10c3 0 4.5 3 5 7.5.3 3.5-2.5 4.5-4.5 2L15.5 14h-7l-2 2.5c-2 2.5-4.8 1.5-4.5-2C2.5 10 4 7 7 7z", "#8a95a8"), stroke("M7.5 9v4M5.5 11h4", "#fff", 1.6), svg("circle", { cx: 15.5, cy: 10, r: 1.2, fill: "#e5535f" }), svg("circle", { cx: 17.8, cy: 12, r: 1.2, fill: "#4b83e8" })]],
  "👥": ["people", () => [shape("M8.5 4a3.8 3.8 0 110 7.6 3.8 3.8 0 010-7.6zM1.5 20c.4-4.5 3-6.8 7-6.8s6.6 2.3 7 6.8z", "#7fa6ee"), shape("M16.5 5a3.3 3.3 0 110 6.6 3.3 3.3 0 010-6.6zM17 20h5.5c-.4-4-2.5-6-6-6.2", "#4b83e8")]],
  "👤": ["person", () => [shape("M12 3.5a4.5 4.5 0 110 9 4.5 4.5 0 010-9zM3.5 21c.5-5 3.5-7.5 8.5-7.5s8 2.5 8.5 7.5z", "#7fa6ee")]],
  "👑": ["crown", () => [shape("M3 7l4.5 4L12 4l4.5 7L21 7l-2 12H5z", "#f2c14e")]],
  "🌐": ["network", () => [svg("circle", { cx: 12, cy: 12, r: 9.5, fill: "#4b83e8" }), stroke("M2.5 12h19M12 2.5c-6 6-6 13 0 19M12 2.5c6 6 6 13 0 19", "#d7e4ff", 1.4)]],
  "🔌": ["plug", () => [stroke("M9 3v5M15 3v5M12 15v6", "#aeb8c8", 2.2), shape("M6 7.5h12v3a6 6 0 01-12 0z", "#3a4150")]],
  "🔗": ["link", () => [stroke("M10 14a4 4 0 006 0l3-3a4 4 0 00-6-6l-1 1M14 10a4 4 0 00-6 0l-3 3a4 4 0 006 6l1-1", "#aeb8c8", 2.2)]],
  "🔧": ["wrench", () => [stroke("M14.5 9.5l-9.5 9.5", "#8a95a8", 4), shape("M21 7.5a5 5 0 01-7.5 4.3 5 5 0 013-9.3l-1.5 3.5 2 2z", "#aeb8c8")]],
  "⚙": ["settings", () => [svg("circle", { cx: 12, cy: 12, r: 6, fill: "none", stroke: "#aeb8c8", "stroke-width": 3.4 }), stroke("M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2", "#aeb8c8", 2.6)]],
  "🛑": ["stop sign", () => [shape("M8 2h8l6 6v8l-6 6H8l-6-6V8z", "#e5535f"), svg("rect", { x: 6.5, y: 10.5, width: 11, height: 3, rx: 1, fill: "#fff" })]],
  "🚀": ["rocket", () => [shape("M13 3c4-2 7-1.5 8-1 .5 1 1 4-1 8l-6 6.5-6.5-6.5z", "#dfe5ee"), shape("M7.5 10L3 11l-1 3 4-.5zM14 16.5L13 21l-3 1 .5-4zM6.5 15l2.5 2.5c-1 2-4 3-6 3.5.5-2 1.5-5 3.5-6z", "#e5535f"), svg("circle", { cx: 15.5, cy: 8.5, r: 2, fill: "#4b83e8" })]],
  "⭐": ["star", () => [shape("M12 2l3 6.7 7.3.8-5.4 5 1.5 7.2L12 18l-6.4 3.7 1.5-7.2-5.4-5L9 8.7z", "#f2c14e")]],
  "✨": ["sparkles", () => [shape("M10 3l2 6 6 2-6 2-2 6-2-6-6-2 6-2zM18.5 13l1 3 3 1-3 1-1 3-1-3-3-1 3-1zM18.5 2l.7 2.2L21.5 5l-2.3.8L18.5 8l-.7-2.2L15.5 5l2.3-.8z", "#f2c14e")]],
  "💬": ["speech", () => [shape("M3 4h18v13H11l-5 4.5V17H3z", "#dfe5ee"), stroke("M7.5 10.5h.2M12 10.5h.2M16.5 10.5h.2", "#4a5363", 2.4)]],
  "📢": ["loudspeaker", () => [shape("M3 9.5v5h4l9 5V4.5l-9 5z", "#e5535f"), stroke("M19 9a4 4 0 010 6", "#aeb8c8", 2.2)]],
  "🔔": ["bell", () => [shape("M12 2.5c4.5 0 6 3.5 6 7.5 0 4 2 6 2.5 7.5h-17C4 16 6 14 6 10c0-4 1.5-7.5 6-7.5zM9.5 19h5a2.5 2.5 0 01-5 0z", "#f2c14e")]],
  "💤": ["asleep", () => [stroke("M12 4h7l-7 8h7M4 13h5l-5 6h5", "#7fa6ee", 2.2)]],
  "📈": ["rising", () => [svg("rect", { x: 2, y: 3, width: 20, height: 18, rx: 2, fill: "#eef2f8" }), stroke("M5 16l5-5 3 3 6-7", "#e5535f", 2)]],
  "📊": ["chart", () => [svg("rect", { x: 2, y: 3, width: 20, height: 18, rx: 2, fill: "#eef2f8" }), stroke("M7 18v-5", "#35a86c", 3), stroke("M12 18V7", "#e5535f", 3), stroke("M17 18v-8", "#4b83e8", 3)]],
  "🧠": ["memory", () => [shape("M12 4c-2-2-5-1-5.5 1.5C4 6 3 8.5 4.2 10.5 2.5 12 3 15.5 5.5 16c.5 3 4 4.5 6.5 2.5 2.5 2 6 .5 6.5-2.5 2.5-.5 3-4 1.3-5.5C21 8.5 20 6 17.5 5.5 17 3 14 2 12 4z", "#ee9db0"), stroke("M12 4.5v14", "#b5607a", 1.5)]],
  "🗑": ["bin", () => [shape("M5.5 7.5h13l-1.2 14H6.7zM4 4.5h16v2H4zM9.5 2.5h5v2h-5z", "#aeb8c8")]],
  "🔍": ["search", () => [svg("circle", { cx: 10, cy: 10, r: 6.5, fill: "#cfe2ff", stroke: "#8a95a8", "stroke-width": 2.4 }), stroke("M15 15l6 6", "#8a95a8", 3)]],
  "🏓": ["ping", () => [svg("circle", { cx: 10, cy: 10, r: 7.5, fill: "#e5535f" }), stroke("M15.5 15.5l5 5", "#b98652", 3.4), svg("circle", { cx: 19.5, cy: 6, r: 2, fill: "#eef2f8" })]],
  "🪶": ["feather", () => [shape("M20.5 3c-9-.5-15 5-15 13.5L3 21l1.5.8L8 17c8 0 12.5-5.5 12.5-14z", "#7fa6ee"), stroke("M6 18L16 8", "#dbe7ff", 1.4)]],
  "🦅": ["eagle", () => [shape("M1.5 7c5 0 8 2 10.5 6 2.5-4 5.5-6 10.5-6-2.5 2-4 4-5 7-1 4-3 6-5.5 7-2.5-1-4.5-3-5.5-7-1-3-2.5-5-5-7z", "#b98652"), svg("circle", { cx: 12, cy: 10.5, r: 2.6, fill: "#eef2f8" })]],
};

const PATTERN = new RegExp(`(?:${Object.keys(DRAWN).join("|")})\uFE0F?`, "gu");
// Signs that are also ordinary typography are drawn only when written as emoji (with the variation selector).
const TYPOGRAPHIC = new Set(["✔", "✖", "☑", "ℹ", "▶", "❤", "♻", "⚙"]);

/** Text as nodes, with the drawn emoji in it. */
export function emojiText(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(PATTERN)) {
    const sign = match[0].replace("\uFE0F", "");
    if (TYPOGRAPHIC.has(sign) && match[0] === sign) continue;
    if (match.index > from) nodes.push(document.createTextNode(text.slice(from, match.index)));
    nodes.push(drawing(sign, match[0]));
    from = match.index + match[0].length;
  }
  if (from < text.length) nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}

/** One emoji of a component or reaction: {id, name}; custom ones have no picture here and are shown by name. */
export function emojiOf(emoji) {
  if (!emoji?.name) return null;
  if (emoji.id) return h("span", { class: "emoji-name" }, `:${emoji.name}:`);
  const sign = emoji.name.replace("\uFE0F", "");
  return Object.hasOwn(DRAWN, sign) ? drawing(sign, emoji.name) : h("span", { class: "emoji-text" }, emoji.name);
}

/** What people react with most. */
export const REACTIONS = ["👍", "👎", "❤️", "🎉", "👀", "✅", "❌", "🔥"];

function drawing(sign, original) {
  const [name, draw] = DRAWN[sign];
  return h("span", { class: "emoji", role: "img", "aria-label": name, title: original },
    svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, draw()));
}
