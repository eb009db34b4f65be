// A menu to choose from: a list beside its control on a wide screen, a sheet on a phone. Used by selects in messages and forms.
// Knows focus, keys and filtering; must never know what is chosen from.

import { fill, freshId, h, isNarrow } from "./dom.js";
import { icon } from "./icons.js";

const FILTER_FROM = 8;

/**
 * Opens a menu. `items`: [{value, label, detail?, lead?: node}]; `chosen`: values chosen now. Resolves with the new values, or null when
 * it was closed without choosing.
 */
export function pick({ anchor, title, items, chosen = [], min = 1, max = 1 }) {
  return new Promise((resolve) => {
    const selected = new Set(chosen);
    const listId = freshId("pick");
    const dialog = h("dialog", { class: "picker", "aria-label": title });
    const filter = h("input", { type: "text", class: "picker-filter", placeholder: "Filter", "aria-label": `Filter ${title}`, role: "combobox",
      "aria-controls": listId, "aria-expanded": "true", "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false" });
    const list = h("div", { class: "picker-list", role: "listbox", id: listId, tabindex: "0", "aria-label": title, "aria-multiselectable": max > 1 });
    const done = h("button", { type: "button", class: "button primary" }, "Done");
    let shown = items;
    let active = Math.max(0, items.findIndex((item) => selected.has(item.value)));

    const close = (values) => {
      dialog.close();
      dialog.remove();
      if (anchor.isConnected) anchor.focus({ preventScroll: true });
      resolve(values);
    };
    const values = () => items.filter((item) => selected.has(item.value)).map((item) => item.value);
    const choose = (item) => {
      if (!item) return;
      if (max === 1) {
        const again = selected.has(item.value) && min === 0;
        close(again ? [] : [item.value]);
        return;
      }
      if (selected.has(item.value)) selected.delete(item.value);
      else if (selected.size < max) selected.add(item.value);
      draw();
    };
    const draw = () => {
      const words = filter.value.trim().toLowerCase();
      shown = items.filter((item) => !words || `${item.label} ${item.detail ?? ""}`.toLowerCase().includes(words));
      active = Math.min(active, Math.max(0, shown.length - 1));
      fill(list, shown.length ? shown.map(row) : h("div", { class: "picker-empty" }, "Nothing matches."));
      done.disabled = selected.size < min;
      const focus = list.children[active];
      for (const owner of [list, filter]) {
        if (focus?.id) owner.setAttribute("aria-activedescendant", focus.id);
        else owner.removeAttribute("aria-activedescendant");
      }
      focus?.scrollIntoView({ block: "nearest" });
    };
    const row = (item, index) => h("div", {
      class: index === active ? "picker-row active" : "picker-row", role: "option", id: `${listId}-${index}`, "aria-selected": String(selected.has(item.value)),
      onclick: () => choose(item), onpointermove: () => { if (active !== index) { active = index; draw(); } },
    }, item.lead, h("span", { class: "picker-words" }, h("span", { class: "picker-label" }, item.label), item.detail && h("span", { class: "picker-detail" }, item.detail)),
    h("span", { class: max > 1 ? "picker-tick box" : "picker-tick" }, selected.has(item.value) && icon("check")));

    dialog.append(h("div", { class: "picker-head" }, h("strong", null, title),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => close(null) }, icon("close"))));
    if (items.length >= FILTER_FROM) dialog.append(filter);
    dialog.append(list);
    if (max > 1) dialog.append(h("div", { class: "picker-foot" }, h("span", null, `Up to ${max}`), done));
    done.addEventListener("click", () => close(values()));
    filter.addEventListener("input", () => { active = 0; draw(); });
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(null); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) close(null); });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (step) {
        event.preventDefault();
        active = Math.max(0, Math.min(shown.length - 1, active + step));
        draw();
      } else if ((event.key === "Enter" || (event.key === " " && event.target === list)) && [list, filter].includes(event.target)) {
        event.preventDefault();
        choose(shown[active]);
      }
      event.stopPropagation();
    });
    document.body.append(dialog);
    dialog.showModal();
    draw();
    place(dialog, anchor);
    (items.length >= FILTER_FROM && !isNarrow() ? filter : list).focus();
  });
}

function place(dialog, anchor) {
  if (isNarrow()) return;
  const box = anchor.getBoundingClientRect();
  const width = Math.max(260, Math.min(420, box.width));
  const height = dialog.getBoundingClientRect().height;
  const below = innerHeight - box.bottom > height + 12 || box.top < innerHeight - box.bottom;
  dialog.classList.add("placed");
  dialog.style.setProperty("width", `${width}px`);
  dialog.style.setProperty("left", `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`);
  dialog.style.setProperty("top", `${Math.max(8, below ? Math.min(box.bottom + 6, innerHeight - height - 8) : box.top - height - 6)}px`);
}
