// The page's own line icons, drawn here so that nothing is loaded. Knows paths; must never take data from messages.

import { svg } from "./dom.js";

const PATHS = {
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  hash: ["M9 4L7 20", "M17 4l-2 16", "M4 9h17", "M3 15h17"],
  megaphone: ["M4 10v4h3l8 4V6l-8 4z", "M18 9a4 4 0 010 6"],
  speaker: ["M5 10v4h3l4 4V6L8 10z", "M16 9a4 4 0 010 6"],
  thread: ["M5 5h14v10H11l-4 4v-4H5z"],
  chevron: ["M6 9l6 6 6-6"],
  right: ["M9 6l6 6-6 6"],
  send: ["M4 12l16-8-5 16-4-6z", "M11 14l9-10"],
  reply: ["M10 6L4 12l6 6", "M4 12h9a7 7 0 017 7"],
  smile: ["M12 3a9 9 0 100 18 9 9 0 000-18z", "M8.5 14.5a4.5 4.5 0 007 0", "M9 9.5v.5", "M15 9.5v.5"],
  copy: ["M9 9h11v11H9z", "M15 9V4H4v11h5"],
  check: ["M5 13l5 5L19 7"],
  eye: ["M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7z", "M12 9a3 3 0 100 6 3 3 0 000-6z"],
  file: ["M6 3h8l5 5v13H6z", "M14 3v5h5"],
  download: ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"],
  external: ["M14 4h6v6", "M20 4l-9 9", "M18 14v6H4V6h6"],
  at: ["M12 8a4 4 0 100 8 4 4 0 000-8z", "M16 8v5.5a2.5 2.5 0 005 0V12a9 9 0 10-4 7.5"],
  shield: ["M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6z"],
  crown: ["M4 8l4 4 4-7 4 7 4-4-2 11H6z"],
  person: ["M12 4a4 4 0 100 8 4 4 0 000-8z", "M4 21c1-5 4-7 8-7s7 2 8 7"],
  people: ["M9 5a3.5 3.5 0 100 7 3.5 3.5 0 000-7z", "M2 20c.5-4 3-6 7-6s6.5 2 7 6", "M16 5.5a3.5 3.5 0 010 6.5", "M18.5 14.5c2 .7 3.2 2.5 3.5 5.5"],
  bolt: ["M13 3L5 14h6l-1 7 8-11h-6z"],
  slash: ["M15 4L9 20"],
  warning: ["M12 4l9 16H3z", "M12 10v4", "M12 17v.5"],
  image: ["M4 5h16v14H4z", "M4 16l5-5 4 4 3-3 4 4", "M15 8.5v.5"],
  down: ["M12 5v14", "M6 13l6 6 6-6"],
  plus: ["M12 5v14", "M5 12h14"],
  spark: ["M12 3l2 7 7 2-7 2-2 7-2-7-7-2 7-2z"],
  search: ["M11 4a7 7 0 100 14 7 7 0 000-14z", "M16 16l5 5"],
  expand: ["M7 10l5-5 5 5", "M7 14l5 5 5-5"],
};

/** A decorative icon; the control around it carries the name. */
export function icon(name, extra = "") {
  return svg("svg", { viewBox: "0 0 24 24", class: `icon ${extra}`, "aria-hidden": "true", focusable: "false" },
    (PATHS[name] ?? PATHS.slash).map((path) => svg("path", { d: path })));
}

/** The mark of this page: a bird over a perch. */
export function mark() {
  return svg("svg", { viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: "M3 9c5 0 9 2 13 7 4-5 8-7 13-7-3 2-5 4-6 7-2 5-4 7-7 8-3-1-5-3-7-8-1-3-3-5-6-7z" }),
    svg("path", { d: "M7 28h18", class: "perch" }));
}
