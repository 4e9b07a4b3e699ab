// Text for people: foreign text made visible, times, durations, sizes, numbers.

// Controls, bidirectional controls, invisible characters, separators of lines, tags. Shown as such, they could hide or
// reorder what stands beside them.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
// Colours and other attributes of a terminal: many tools write them, and they mean nothing here.
const TERMINAL_ATTRIBUTES = /\u001b\[[0-9;:]*m/g;

const code = (char) => `\u2039U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u203a`;

/** Replaces each character that cannot be seen by its code. */
export function visible(text) {
  return String(text).replace(UNSEEN, code);
}

/** As `visible`, for texts of several lines: keeps line breaks and tabs. */
export function visibleLines(text) {
  return String(text)
    .replace(TERMINAL_ATTRIBUTES, "")
    .replace(/\r\n?/g, "\n")
    .replace(UNSEEN, (char) => (char === "\n" || char === "\t" ? char : code(char)));
}

/** Milliseconds since the epoch, or null if the text is no time. */
export function time(text) {
  if (typeof text !== "string") return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

const two = (number) => String(number).padStart(2, "0");

/** A time of day in the time zone of the browser. */
export function clock(at, withMillis = false) {
  const date = new Date(at);
  const seconds = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return withMillis ? `${seconds}.${String(date.getMilliseconds()).padStart(3, "0")}` : seconds;
}

/** A duration in two units at most, such as `3 m 04 s`. */
export function duration(millis) {
  if (millis === null || !Number.isFinite(millis)) return "";
  const seconds = Math.max(0, millis) / 1000;
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  const hours = Math.floor(whole / 3600);
  if (hours < 48) return `${hours} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** A short duration, such as the call of a plugin, from microseconds. */
export function micros(number) {
  if (number < 1000) return `${number} µs`;
  return number < 1e6 ? `${(number / 1000).toFixed(number < 1e4 ? 2 : 1)} ms` : duration(number / 1000);
}

/** A size in bytes. */
export function bytes(number) {
  if (number < 1024) return `${number} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = number / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A number with its digits in groups. */
export const count = (number) => Number(number ?? 0).toLocaleString("en");

/** `1 step`, `2 steps`. */
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
