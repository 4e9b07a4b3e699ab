// Reads the stream of server-sent events. `EventSource` shows no status of a refusal, and cannot continue with
// `Last-Event-ID` after it was closed; so this uses `fetch`.

/** Largest message, in characters. A larger one is refused: see "Bounds" in README.md. */
export const MAX_MESSAGE = 8 * 1024 * 1024;
/** The server sends a comment every 15 s, so a stream that is silent for three of them is dead. */
const MAX_SILENCE_MS = 45_000;
/** Waits before the next attempts; the last one is repeated. */
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 10_000];
/** Wait after an answer that a repetition does not change soon. */
const LONG_WAIT_MS = 30_000;
/** Longest text of a refusal, in characters. */
const MAX_REFUSAL = 1000;

/** Splits text into messages, however it is cut into pieces (HTML standard, "server-sent events"). */
export class MessageParser {
  #rest = "";
  #event = "";
  #data = [];
  #size = 0;
  #id = null;
  #afterReturn = false;

  /** Returns the messages that this piece completes: `{event, data, id}`. Throws a RangeError beyond MAX_MESSAGE. */
  push(piece) {
    const messages = [];
    // "\r\n" may be cut in the middle: then "\n" belongs to the line before.
    let text = this.#afterReturn && piece.startsWith("\n") ? piece.slice(1) : piece;
    if (piece) this.#afterReturn = piece.endsWith("\r");
    text = this.#rest + text;
    const lines = text.split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    for (const line of lines) {
      const message = this.#line(line);
      if (message) messages.push(message);
    }
    if (this.#size + this.#rest.length > MAX_MESSAGE) throw new RangeError("a message of the observer is too large");
    return messages;
  }

  #line(line) {
    if (line === "") return this.#complete();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
      if (this.#size > MAX_MESSAGE) throw new RangeError("a message of the observer is too large");
    }
    return null;
  }

  #complete() {
    const message = this.#data.length ? { event: this.#event, data: this.#data.join("\n"), id: this.#id } : null;
    this.#event = "";
    this.#data = [];
    this.#size = 0;
    return message;
  }
}

/** How long to wait, in milliseconds, before attempt number `failures` (from 1), given the answer to the last one. */
export function waitBefore(failures, status, retryAfter) {
  if (status === 403 || status === 421) return LONG_WAIT_MS;
  const asked = Number(retryAfter);
  if ((status === 429 || status === 503) && retryAfter && Number.isFinite(asked)) {
    return Math.min(60, Math.max(1, asked)) * 1000;
  }
  return WAITS_MS[Math.min(failures, WAITS_MS.length) - 1];
}

/** A stream that stays connected between `open` and `close`. */
export class Stream {
  #url;
  #on;
  #abort = null;
  #timer = 0;
  #failures = 0;
  #lastId = null;

  /** `on.message(event, value)` gets each message; `on.state(name, text)` each change of the connection. */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
  }

  /** Connects, if the stream is closed. */
  open() {
    if (this.#abort || this.#timer) return;
    this.#connect();
  }

  /** Closes the stream. The next `open` continues where it ended. */
  close() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#abort?.abort();
    this.#abort = null;
  }

  /** Closes the stream. The next `open` gets a snapshot. */
  forget() {
    this.close();
    this.#lastId = null;
    this.#failures = 0;
  }

  async #connect() {
    const abort = new AbortController();
    this.#abort = abort;
    let answer = { status: 0, retryAfter: null, text: "" };
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.#lastId !== null) headers["Last-Event-ID"] = this.#lastId;
      const response = await fetch(this.#url, { headers, cache: "no-store", redirect: "error", signal: abort.signal });
      if (response.ok) await this.#read(response, abort);
      else {
        answer = { status: response.status, retryAfter: response.headers.get("Retry-After"), text: await refusal(response) };
      }
    } catch (error) {
      // A network error needs no text: "reconnecting" says it. A message that is too large, or is no JSON, does.
      if (error instanceof RangeError) answer = { status: 403, retryAfter: null, text: error.message };
      if (error instanceof SyntaxError) [answer.text, this.#lastId] = ["A message of the observer cannot be read.", null];
    }
    if (this.#abort !== abort) return;
    abort.abort();
    this.#abort = null;
    if (answer.status === 401) {
      this.forget();
      this.#on.state("signIn", "");
      return;
    }
    this.#failures += 1;
    const refused = answer.status === 403 || answer.status === 421;
    if (refused) this.#lastId = null;
    this.#on.state(refused ? "refused" : "reconnecting", answer.text);
    const wait = waitBefore(this.#failures, answer.status, answer.retryAfter);
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#connect();
    }, wait);
  }

  async #read(response, abort) {
    const parser = new MessageParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let silence = 0;
    try {
      for (;;) {
        silence = setTimeout(() => abort.abort(), MAX_SILENCE_MS);
        const { value, done } = await reader.read();
        clearTimeout(silence);
        if (done || this.#abort !== abort) return;
        for (const { event, data, id } of parser.push(value)) {
          this.#on.message(event, JSON.parse(data));
          if (this.#abort !== abort) return;
          if (id !== null) this.#lastId = id;
          this.#failures = 0;
          this.#on.state("live", "");
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }
}

/** The text of a refusal, bounded. Reads no more than it shows. */
export async function refusal(response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (reader && text.length < MAX_REFUSAL) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  reader?.cancel().catch(() => {});
  return text.slice(0, MAX_REFUSAL).trim();
}
