// Short notices in a corner: errors and confirmations. Knows how long to stay; must never take the focus.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const STAYS = 7000;
const region = h("div", { class: "toasts", role: "region", "aria-label": "Notices" });

/** Shows a notice; `kind` is "error" or "fine". */
export function toast(words, kind = "error") {
  if (!region.isConnected) document.body.append(region);
  for (const old of region.children) if (old.dataset.words === words) old.remove();
  const item = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status", data: { words } }, icon(kind === "error" ? "warning" : "check"), h("span", null, words),
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss this notice", onclick: () => item.remove() }, icon("close")));
  let timer = setTimeout(() => item.remove(), STAYS);
  item.addEventListener("pointerenter", () => clearTimeout(timer));
  item.addEventListener("pointerleave", () => { timer = setTimeout(() => item.remove(), STAYS / 2); });
  region.append(item);
  while (region.children.length > 4) region.firstElementChild.remove();
}
