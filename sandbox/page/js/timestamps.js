// Moments in words, as Discord writes <t:seconds:style>; relative ones tick. Knows clocks and Intl; must never guess a zone.

import { h } from "./dom.js";

const LOCALE = "en-GB";
const format = (options) => new Intl.DateTimeFormat(LOCALE, options);
const STYLES = {
  t: format({ hour: "2-digit", minute: "2-digit" }),
  T: format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  d: format({ day: "2-digit", month: "2-digit", year: "numeric" }),
  D: format({ day: "numeric", month: "long", year: "numeric" }),
  f: format({ day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" }),
  F: format({ weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" }),
  s: format({ day: "2-digit", month: "2-digit", year: "numeric", hour: "2-digit", minute: "2-digit" }),
  S: format({ day: "2-digit", month: "2-digit", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" }),
};
const RELATIVE = new Intl.RelativeTimeFormat(LOCALE, { numeric: "always" });
const STEPS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "41 seconds ago", "in 3 hours"; seconds is the distance from now, negative for the past. */
export function relative(seconds) {
  const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? STEPS.at(-1);
  return RELATIVE.format(Math.trunc(seconds / size), unit);
}

/** The element for <t:seconds:style>, or null when the moment is out of any calendar's range. */
export function timestamp(seconds, style = "f") {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const element = h("time", { class: "stamp", datetime: date.toISOString(), title: STYLES.F.format(date) });
  if (style === "R") element.dataset.relative = String(seconds);
  element.textContent = style === "R" ? relative(seconds - Date.now() / 1000) : (STYLES[style] ?? STYLES.f).format(date);
  return element;
}

/** Keeps every relative moment on the page right; call once. */
export function startTicking() {
  setInterval(() => {
    if (document.hidden) return;
    const now = Date.now() / 1000;
    for (const element of document.querySelectorAll("time[data-relative]")) {
      const words = relative(Number(element.dataset.relative) - now);
      if (element.textContent !== words) element.textContent = words;
    }
  }, 1000);
}

/** When a message was written: "14:02" today, "Yesterday, 14:02", else the date. */
export function messageTime(date) {
  const days = dayNumber(new Date()) - dayNumber(date);
  if (days === 0) return STYLES.t.format(date);
  if (days === 1) return `Yesterday, ${STYLES.t.format(date)}`;
  return STYLES.s.format(date);
}

export const clock = (date) => STYLES.t.format(date);
export const fullDate = (date) => STYLES.F.format(date);
export const dayName = (date) => STYLES.D.format(date);

/** Days since an epoch in local time, so that two moments of one day are equal. */
export function dayNumber(date) {
  return Math.floor((date.getTime() - date.getTimezoneOffset() * 60000) / 86400000);
}
