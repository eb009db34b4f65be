// The bot's commands as a flat list, how well they match what is typed, and what their options accept.
// Knows Discord's command objects; must never touch the page.

export const TYPE = { STRING: 3, INTEGER: 4, BOOLEAN: 5, USER: 6, CHANNEL: 7, ROLE: 8, MENTIONABLE: 9, NUMBER: 10, ATTACHMENT: 11 };
const GROUPS = [1, 2];
export const TYPE_WORDS = { 3: "text", 4: "whole number", 5: "true or false", 6: "person", 7: "channel", 8: "role", 9: "person or role", 10: "number", 11: "file" };

/** Every callable slash command: [{path: "server restart", description, options}]. */
export function flatten(commands) {
  const found = [];
  const walk = (node, path) => {
    const here = [...path, node.name];
    const groups = (node.options ?? []).filter((option) => GROUPS.includes(option.type));
    if (groups.length) for (const group of groups) walk(group, here);
    else found.push({ path: here.join(" "), description: node.description ?? "", options: node.options ?? [] });
  };
  for (const command of commands) if ((command.type ?? 1) === 1) walk(command, []);
  return found.sort((a, b) => a.path.localeCompare(b.path));
}

/** The entries that fit what follows the slash, best first. */
export function search(entries, typed) {
  const words = typed.toLowerCase().trim().replace(/\s+/g, " ");
  if (!words) return entries;
  const score = (entry) => {
    if (entry.path === words) return 0;
    if (entry.path.startsWith(words)) return 1;
    if (entry.path.split(" ").some((part) => part.startsWith(words))) return 2;
    if (entry.path.includes(words)) return 3;
    const all = `${entry.path} ${entry.description}`.toLowerCase();
    return words.split(" ").every((word) => all.includes(word)) ? 4 : null;
  };
  return entries.map((entry) => ({ entry, rank: score(entry) })).filter((one) => one.rank !== null)
    .sort((a, b) => a.rank - b.rank).map((one) => one.entry);
}

/** The command that text begins with and what follows it: {entry, rest}, or null. "/server restart luanti" gives rest "luanti". */
export function matchTyped(entries, text) {
  if (!text.startsWith("/")) return null;
  const typed = text.slice(1).toLowerCase();
  const fits = entries.filter((entry) => typed.startsWith(`${entry.path} `)).sort((a, b) => b.path.length - a.path.length);
  return fits.length ? { entry: fits[0], rest: text.slice(fits[0].path.length + 2) } : null;
}

/** The value to send for what is in an option's field: {value} or {error}; `chosen` is what was picked from a list. */
export function readOption(option, text, chosen) {
  if (chosen) return { value: chosen.value };
  const trimmed = text.trim();
  if (!trimmed) return option.required ? { error: "This is required." } : { value: undefined };
  switch (option.type) {
    case TYPE.STRING: return readText(option, text);
    case TYPE.INTEGER: case TYPE.NUMBER: return readNumber(option, trimmed);
    case TYPE.BOOLEAN: {
      const known = { true: true, yes: true, on: true, false: false, no: false, off: false }[trimmed.toLowerCase()];
      return known === undefined ? { error: "Say true or false." } : { value: known };
    }
    case TYPE.ATTACHMENT: return { error: "Choose a file." };
    default: return { error: `Choose a ${TYPE_WORDS[option.type] ?? "value"} from the list.` };
  }
}

function readText(option, text) {
  if (option.choices?.length) {
    const choice = option.choices.find((one) => one.name.toLowerCase() === text.trim().toLowerCase());
    return choice ? { value: choice.value } : { error: "Choose one from the list." };
  }
  if (text.length < (option.min_length ?? 0)) return { error: `At least ${option.min_length} characters.` };
  if (text.length > (option.max_length ?? 6000)) return { error: `At most ${option.max_length ?? 6000} characters.` };
  return { value: text };
}

function readNumber(option, text) {
  if (option.choices?.length) {
    const choice = option.choices.find((one) => one.name.toLowerCase() === text.toLowerCase() || String(one.value) === text);
    return choice ? { value: choice.value } : { error: "Choose one from the list." };
  }
  const number = Number(text);
  if (!Number.isFinite(number)) return { error: `“${text}” is not a number.` };
  if (option.type === TYPE.INTEGER && !Number.isSafeInteger(number)) return { error: "A whole number is needed." };
  if (option.min_value !== undefined && option.min_value !== null && number < option.min_value) return { error: `At least ${option.min_value}.` };
  if (option.max_value !== undefined && option.max_value !== null && number > option.max_value) return { error: `At most ${option.max_value}.` };
  return { value: number };
}
