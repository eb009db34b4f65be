// The slash palette: rows for the commands that fit what is typed. Knows how a command is introduced; must never run one.

import { search } from "./commands.js";
import { h } from "./dom.js";
import { mark } from "./icons.js";

const SHOWN = 60;

/** Shows the commands that fit `typed` (without its slash) above `field`; `choose(entry)` is called for a pick. */
export function showPalette(suggestions, { field, entries, typed, bot, choose }) {
  const fits = search(entries, typed);
  suggestions.show({
    field,
    title: [h("span", null, typed.trim() ? `Commands matching “/${typed.trim()}”` : `What ${bot.name} can do`), h("span", { class: "suggest-keys" }, "↑↓ choose · Enter take · Esc close")],
    rows: fits.slice(0, SHOWN).map((entry) => ({
      entry, label: `/${entry.path}`, detail: entry.description, lead: h("span", { class: "command-mark" }, mark()), chips: entry.options.map(chip),
    })),
    note: entries.length ? `No command matches “/${typed}”.` : bot.online ? `${bot.name} has no commands yet.` : `${bot.name} is offline and has no commands. Start the bot and they appear here.`,
    choose: (row) => choose(row.entry),
  });
}

function chip(option) {
  return h("span", { class: option.required ? "option-chip required" : "option-chip" }, option.name);
}
