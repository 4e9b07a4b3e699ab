// The panel of one step: its facts and its events, with plugins, attempts, log and body of each sink.

import { describeLog, readBody, showBody, showLog } from "./body.js";
import { byId, foreign, make, makeShape, makeTabs, setForeign, setShape, setText } from "./dom.js";
import { isSettled, readHistory } from "./history.js";
import { resultOf, spanOf } from "./model.js";
import { refusal } from "./stream.js";
import { bytes, clock, count, duration, micros, plural, time } from "./text.js";

/** Pauses between two requests for an event that has not reached all its sinks, and when the longer one begins. */
const SHORT_PAUSE_MS = 2000;
const LONG_PAUSE_MS = 10_000;
const LONG_PAUSE_AFTER_MS = 60_000;

const SINK_SHAPES = { delivered: "succeeded", "dead letter": "failed", retrying: "attention", waiting: "waiting", dropped: "skipped" };
const VERDICT_SHAPES = { kept: "succeeded", dropped: "skipped", stripped: "attention", "passed by": "attention" };

export class Detail {
  #root = byId("detail");
  #on;
  #open = null;
  #parts = null;
  #eventId = null;
  #shownText = null;
  #abort = null;
  #timer = 0;
  #openedAt = 0;
  #sinkTab = null;

  /** `on.event(id)`: another event is shown, or none; `on.close(run, step)`: the panel was closed; `on.signIn()`. */
  constructor(on) {
    this.#on = on;
    this.#root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  get isOpen() {
    return this.#open !== null;
  }

  /** Opens the panel for a step; with `eventId`, at that event, else at the last one. `run` and `step` may be null. */
  open(run, step, eventId, now) {
    this.#stop();
    this.#open = { run, step };
    this.#eventId = null;
    this.#build();
    this.#root.hidden = false;
    this.update(now);
    this.#showEvent(eventId ?? step?.events.at(-1)?.id ?? null);
    this.#parts.title.focus({ preventScroll: true });
    this.#root.scrollTop = 0;
  }

  /** Closes the panel. */
  close() {
    if (!this.#open) return;
    const { run, step } = this.#open;
    this.clear();
    this.#on.close(run, step);
  }

  /** Closes the panel without moving the focus. */
  clear() {
    this.#stop();
    this.#open = null;
    this.#eventId = null;
    this.#root.hidden = true;
    this.#root.replaceChildren();
    this.#on.event("");
  }

  /** Draws the facts of the step again. Its run may have merged a newer step. */
  update(now) {
    if (!this.#open?.run) return;
    const { run } = this.#open;
    const step = run.steps.find(({ key }) => key === this.#open.step.key) ?? this.#open.step;
    const isLast = this.#eventId === null || this.#eventId === this.#open.step.events.at(-1)?.id;
    const hasMore = step.events.length > this.#open.step.events.length;
    this.#open.step = step;
    const { shape, title, facts } = this.#parts;
    setShape(shape, step.state);
    setForeign(title, step.name || `step ${step.index}`);
    const { start, end } = spanOf(step, now);
    const rows = {
      State: resultOf(step),
      Started: start === null ? "" : clock(start, true) + (step.startedAtSource === "inferred" ? " (inferred)" : ""),
      Ended: step.state === "running" || end === null ? "" : clock(end, true),
      Duration: start === null || end === null ? "" : duration(end - start),
      Waited: step.waitMs == null ? "" : duration(step.waitMs),
      Attempt: step.attempt ? String(step.attempt + 1) : "",
      TaskRun: run.taskRun + (run.deleted ? " (deleted)" : ""),
      Task: run.pipelineTask ?? "",
      PipelineRun: run.pipelineRun ?? "",
      Namespace: run.namespace,
    };
    for (const [name, text] of Object.entries(rows)) {
      setForeign(facts[name], text);
      facts[name].parentElement.hidden = text === "";
    }
    this.#drawEvents();
    // A step that ends while its start is open shows its end: that is what people wait for.
    if (hasMore && isLast) this.#showEvent(step.events.at(-1).id);
  }

  #build() {
    const { run } = this.#open;
    const close = make("button", { type: "button", class: "close" }, "Close");
    close.addEventListener("click", () => this.close());
    const shape = makeShape("waiting");
    const title = foreign("Event", "h2", { id: "detail-title", tabindex: "-1" });
    const facts = {};
    const names = ["State", "Started", "Ended", "Duration", "Waited", "Attempt", "Task", "TaskRun", "PipelineRun", "Namespace"];
    const list = make("dl", { class: "facts" });
    for (const name of run ? names : []) {
      facts[name] = foreign("", "dd");
      list.append(make("div", {}, make("dt", {}, name), facts[name]));
    }
    const events = make("div", { class: "events" });
    const content = make("div", { class: "event" });
    this.#parts = { shape, title, facts, events, content };
    this.#root.replaceChildren(make("div", { class: "detail-head" }, run ? shape : null, title, close), list, events, content);
  }

  /** The tabs of the events; nothing if there is at most one. */
  #drawEvents() {
    const { events } = this.#parts;
    const { step } = this.#open;
    const ids = step.events.map(({ id }) => id).join("\n");
    if (events.dataset.ids === ids) return;
    const hadFocus = events.contains(document.activeElement);
    events.dataset.ids = ids;
    events.replaceChildren();
    if (step.events.length < 2) return;
    for (const { id, phase } of step.events) {
      const button = make("button", { type: "button", "aria-pressed": "false" }, foreign(phase));
      button.dataset.id = id;
      button.addEventListener("click", () => this.#showEvent(id));
      events.append(button);
    }
    events.prepend(make("span", { class: "muted" }, "Event"));
    this.#pressEvent();
    if (hadFocus) events.querySelector("button[aria-pressed=true]")?.focus();
  }

  #pressEvent() {
    for (const button of this.#parts.events.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.id === this.#eventId));
    }
  }

  // === loading

  #stop() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  #showEvent(id) {
    this.#stop();
    this.#eventId = id;
    this.#shownText = null;
    this.#sinkTab = null;
    this.#openedAt = performance.now();
    this.#pressEvent();
    this.#on.event(id ?? "");
    if (id === null) {
      this.#parts.content.replaceChildren(make("p", { class: "muted" }, "This step has no event yet: its turn has not come."));
      return;
    }
    this.#parts.content.replaceChildren(make("p", { class: "muted" }, "Loading"));
    this.#load(id);
  }

  async #load(id) {
    const abort = new AbortController();
    this.#abort = abort;
    let again = true;
    try {
      const response = await fetch(`page/events/${encodeURIComponent(id)}`, { cache: "no-store", redirect: "error", signal: abort.signal });
      const text = response.ok ? await response.text() : await refusal(response);
      if (this.#abort !== abort) return;
      if (response.status === 401) return void this.#on.signIn();
      if (response.ok) again = this.#show(text);
      else if (response.status === 404) {
        again = false;
        this.#say("No longer kept", "The observer keeps the last runs, and the history of their events. This event is older, or the observer has restarted.");
      } else this.#say("This event cannot be read now", text);
    } catch (error) {
      if (this.#abort !== abort) return;
      this.#say("This event cannot be read now", error instanceof SyntaxError ? "The answer of the observer is no JSON." : "The observer does not answer.");
    }
    this.#abort = null;
    if (!again) return;
    const pause = performance.now() - this.#openedAt < LONG_PAUSE_AFTER_MS ? SHORT_PAUSE_MS : LONG_PAUSE_MS;
    this.#timer = setTimeout(() => this.#load(id), pause);
  }

  #say(title, text) {
    this.#shownText = null;
    this.#parts.content.replaceChildren(make("h3", {}, title), foreign(text, "p", { class: "muted" }));
  }

  /** Shows an answer, unless it is the one that is shown. Returns whether to ask again. */
  #show(text) {
    const answer = JSON.parse(text);
    const facts = readHistory(answer);
    if (text === this.#shownText) return !isSettled(facts);
    this.#shownText = text;
    const { content } = this.#parts;
    const focused = content.contains(document.activeElement) ? document.activeElement.id : null;
    content.replaceChildren(...this.#showPlugins(facts, answer), ...this.#showSinks(facts, answer), idOf(answer));
    if (focused !== null) (byId(focused) ?? this.#parts.title).focus({ preventScroll: true });
    return !isSettled(facts);
  }

  // === one event

  #showPlugins({ observed, chains, holds }, { history, historyLeftOut }) {
    const nodes = [make("h3", {}, "Plugins")];
    if (!history?.length) nodes.push(make("p", { class: "muted" }, "Nothing is known of this event's way: its history is not kept, or not written yet."));
    const rows = chains.flatMap(({ at, sinks, calls }) => calls.map((call) => pluginRow(at, call, chains.length > 1 ? sinks : null)));
    const holdRows = holds.map(({ at, plugin, reason }) => resultRow(at, "attention", plugin, "held", null, reason));
    if (rows.length + holdRows.length) {
      nodes.push(make("ol", { class: "steps-of-event" }, holdRows, rows));
    } else if (history?.length) nodes.push(make("p", { class: "muted" }, chains.length ? "The event passed no plugin." : "The event has not passed the plugins yet."));
    if (observed && chains.length) {
      const [from, to] = [time(observed), time(chains[0].at)];
      nodes.push(make("p", { class: "muted" }, `Observed ${clock(from, true)}, accepted ${clock(to, true)}, after ${duration(to - from)}.`));
    }
    if (historyLeftOut) nodes.push(make("p", { class: "muted" }, `${plural(historyLeftOut, "entry").replace("entrys", "entries")} in the middle of the history are not shown.`));
    return nodes;
  }

  #showSinks({ sinks, isAccepted }, { bodies = [] }) {
    const title = make("h3", {}, "Sinks");
    if (sinks.length === 0) {
      return [title, make("p", { class: "muted" }, isAccepted ? "No sink gets this event: a plugin dropped it, or no sink selects it." : "The event has no sink yet.")];
    }
    const entries = sinks.map((sink) => ({ key: sink.name, label: [makeShape(SINK_SHAPES[sink.state] ?? "waiting"), foreign(sink.name)] }));
    if (!sinks.some(({ name }) => name === this.#sinkTab)) this.#sinkTab = sinks[0].name;
    const { tabs, panel } = makeTabs("sink", "Sinks", entries, this.#sinkTab, (name, target) => {
      this.#sinkTab = name;
      target.replaceChildren(...showSink(sinks.find((sink) => sink.name === name), bodies));
    });
    return [title, tabs, panel];
  }
}

function idOf({ id }) {
  return make("p", { class: "id" }, make("span", { class: "muted" }, "Event id "), foreign(id, "code"));
}

function resultRow(at, shape, name, word, note, text) {
  return make(
    "li",
    {},
    make("span", { class: "at" }, time(at) === null ? "" : clock(time(at), true)),
    makeShape(shape),
    make("span", { class: "what" }, name === null ? null : foreign(name, "b"), " ", foreign(word), note, text ? foreign(text, "span", { class: "why" }) : null),
  );
}

function pluginRow(at, { plugin, version, verdict, micros: took, masked, reason, digest }, sinks) {
  const notes = [version ? `version ${version}` : "", micros(took ?? 0), masked ? `${count(masked)} masked` : "", sinks?.length ? `for ${sinks.join(", ")}` : ""];
  const note = foreign(notes.filter(Boolean).join(" \u00b7 "), "span", { class: "muted notes", title: digest ? `sha256 ${digest}` : null });
  return resultRow(at, VERDICT_SHAPES[verdict] ?? "attention", plugin, verdict, note, reason);
}

function showSink({ state, attempts, body, isGone }, bodies) {
  const nodes = [];
  const rows = attempts.map(({ at, state: result, number, text }) => resultRow(at, SINK_SHAPES[result] ?? "failed", number === null ? null : `attempt ${number}`, result, null, text));
  nodes.push(rows.length ? make("ol", { class: "steps-of-event" }, rows) : make("p", { class: "muted" }, `${state}: no attempt has ended yet.`));
  const kept = body === null ? null : bodies[body];
  if (!kept) {
    nodes.push(make("p", { class: isGone ? "gone" : "muted" }, isGone ? "The event as this sink got it is no longer kept." : "This sink has no event yet."));
    return nodes;
  }
  const read = readBody(kept);
  const about = describeLog(read?.info, read?.redaction);
  if (read && (read.log !== null || read.info)) {
    nodes.push(make("h4", {}, "Log ", foreign(about, "span", { class: "muted" })));
    if (read.log) nodes.push(...showLog(read.log));
    else if (read.log === "") nodes.push(make("p", { class: "muted" }, "The step printed nothing."));
  }
  const size = `${kept.mode}, ${kept.contentType ?? ""}, ${bytes(kept.bytes ?? kept.text.length)}`;
  nodes.push(make("h4", {}, "Event as sent ", foreign(size, "span", { class: "muted" })));
  if (kept.headers?.length) {
    nodes.push(make("dl", { class: "headers" }, kept.headers.map(([name, value]) => make("div", {}, foreign(name, "dt"), foreign(value, "dd")))));
  }
  nodes.push(...showBody(read, kept));
  return nodes;
}
