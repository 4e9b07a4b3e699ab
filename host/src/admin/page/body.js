// The body that a sink got: its log, and the whole as text. Marks what was masked.

import { make } from "./dom.js";
import { bytes, visibleLines } from "./text.js";

/** Largest text that is shown, in characters. */
const MAX_SHOWN = 1024 * 1024;
/** Most marks in one text. A text beyond them is shown without further marks. */
const MAX_MARKS = 2000;
/** What `redact-secrets` and `knownSecrets` write in place of a secret. */
const MASKED = /\[redacted(?::[\w ./:-]{1,64})?\]/g;
/** The name of a member at the start of a line, as `JSON.stringify` writes it. */
const MEMBER = /^ *("(?:[^"\\]|\\.)*"):/gm;

/** Finds the log in a body: `{data, log, info, redaction}`, or null if the body is no JSON. */
export function readBody({ mode, text }) {
  try {
    const value = JSON.parse(text);
    const data = mode === "binary" ? value : value?.data;
    return { value, data, log: typeof data?.log === "string" ? data.log : null, info: data?.logInfo ?? null, redaction: data?.redaction ?? null };
  } catch {
    return null;
  }
}

/** Shows the log. */
export function showLog(text) {
  return showText(text, "Log", MASKED, "masked");
}

/** Shows a body, with indents if it is JSON. */
export function showBody(read, { text }) {
  return read ? showText(JSON.stringify(read.value, null, 2), "Event", MEMBER, "member") : showText(text, "Event");
}

/** What is known about a log beside its text. */
export function describeLog(info, redaction) {
  const words = [];
  if (info?.bytes !== undefined) words.push(`${info.atLeast ? "at least " : ""}${bytes(info.bytes)}`);
  if (info?.truncated) words.push("its middle or end is left out");
  if (info?.incomplete) words.push(`incomplete: ${info.incomplete}`);
  if (info?.unavailable) words.push(`not available: ${info.unavailable}`);
  const masked = Object.values(redaction?.rules ?? {}).reduce((sum, number) => sum + number, 0) + (redaction?.values ?? 0) + (redaction?.otherRules ?? 0);
  if (masked) words.push(`${masked} masked`);
  return words.join(" \u00b7 ");
}

function showText(text, label, pattern, kind) {
  const cut = text.length > MAX_SHOWN;
  const shown = visibleLines(cut ? text.slice(0, MAX_SHOWN) : text);
  const pre = make("pre", { tabindex: "0", role: "region", "aria-label": label, class: label.toLowerCase() });
  let from = 0;
  let marks = 0;
  for (const match of pattern ? shown.matchAll(pattern) : []) {
    if (marks === MAX_MARKS) break;
    const found = match[1] ?? match[0];
    const at = match.index + match[0].indexOf(found);
    const mark = make(kind === "masked" ? "mark" : "span", { class: kind });
    mark.textContent = found;
    pre.append(shown.slice(from, at), mark);
    from = at + found.length;
    marks += 1;
  }
  pre.append(shown.slice(from));
  return cut ? [pre, make("p", { class: "muted" }, `Only the first ${bytes(MAX_SHOWN)} are shown.`)] : [pre];
}
