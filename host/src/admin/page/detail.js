// The panel of one step: its facts, and its events. Loads an event again until all its sinks are done.

import { byId, foreign, make, makeShape, setForeign, setHidden, setShape } from "./dom.js";
import { showEvent } from "./event.js";
import { isSettled, readHistory } from "./history.js";
import { resultOf, spanOf } from "./model.js";
import { refusal } from "./stream.js";
import { clock, duration } from "./text.js";

/** Pauses between two requests for an event that has not reached all its sinks, and when the longer one begins. */
const SHORT_PAUSE_MS = 2000;
const LONG_PAUSE_MS = 10_000;
const LONG_PAUSE_AFTER_MS = 60_000;

export class Detail {
  #root = byId("detail");
  #on;
  /** `{run, step}`; both are null if only the id of an event is known. */
  #open = null;
  #parts = null;
  #eventId = null;
  #shown = "";
  #sink = null;
  #abort = null;
  #timer = 0;
  #since = 0;

  /** `on.event(id)`: an event is shown, "" for none; `on.close(run, step)`; `on.signIn()`: a token is needed. */
  constructor(on) {
    this.#on = on;
    this.#root.addEventListener("keydown", ({ key }) => key === "Escape" && this.close());
  }

  get isOpen() {
    return this.#open !== null;
  }

  /** Opens the panel for a step, at an event or else at its last one. */
  open(run, step, eventId, now) {
    this.#open = { run, step };
    const shape = makeShape("waiting");
    const title = foreign("Event", "h2", { id: "detail-title", tabindex: -1 });
    const close = make("button", { type: "button", class: "close" }, "Close");
    close.addEventListener("click", () => this.close());
    const [facts, events, content] = [make("dl", { class: "facts" }), make("div", { class: "events" }), make("div", { class: "event" })];
    this.#parts = { shape, title, facts, events, content };
    this.#root.replaceChildren(make("div", { class: "detail-head" }, run ? shape : null, title, close), facts, events, content);
    this.#root.hidden = false;
    this.#root.scrollTop = 0;
    this.#showEvent(eventId ?? step?.events.at(-1)?.id ?? "");
    this.update(now);
    title.focus({ preventScroll: true });
  }

  close() {
    if (!this.#open) return;
    const { run, step } = this.#open;
    this.clear();
    this.#on.close(run, step);
  }

  /** Closes the panel, and leaves the focus to the caller. */
  clear() {
    this.#stop();
    this.#open = null;
    this.#root.hidden = true;
    this.#root.replaceChildren();
    this.#on.event("");
  }

  /** Draws the facts of the step again. */
  update(now) {
    const { run, step: old } = this.#open ?? {};
    if (!run) return;
    const step = run.steps.find(({ key }) => key === old.key) ?? old;
    const { shape, title, facts } = this.#parts;
    this.#open.step = step;
    setShape(shape, step.state);
    setForeign(title, step.name || `step ${step.index}`);
    const { start, end } = spanOf(step, now);
    const rows = {
      State: resultOf(step),
      Started: start === null ? "" : clock(start, true) + (step.startedAtSource === "inferred" ? " (inferred)" : ""),
      Ended: step.state === "running" || end === null ? "" : clock(end, true),
      Duration: start === null || end === null ? "" : duration(end - start),
      Waited: step.waitMs == null ? "" : duration(step.waitMs),
      Attempt: step.attempt ? step.attempt + 1 : "",
      Task: run.pipelineTask ?? "",
      TaskRun: run.taskRun + (run.deleted ? " (deleted)" : ""),
      PipelineRun: run.pipelineRun ?? "",
      Namespace: run.namespace,
    };
    if (!facts.firstChild) facts.append(...Object.keys(rows).map((name) => make("div", {}, make("dt", {}, name), foreign("", "dd"))));
    Object.values(rows).forEach((text, at) => {
      setForeign(facts.children[at].lastChild, text);
      setHidden(facts.children[at], text === "");
    });
    this.#drawEvents();
    // A step that ends while its start is open shows its end: that is what people wait for.
    const last = step.events.at(-1)?.id;
    if (step.events.length > old.events.length && this.#eventId === (old.events.at(-1)?.id ?? "")) this.#showEvent(last);
  }

  /** A button for each event, if there are several. */
  #drawEvents() {
    const { events } = this.#parts;
    const all = this.#open.step.events;
    const isDrawn = events.querySelectorAll("button").length === all.length || all.length < 2;
    if (!isDrawn) {
      const buttons = all.map(({ id, phase }) => {
        const button = make("button", { type: "button" }, foreign(phase));
        button.dataset.id = id;
        button.addEventListener("click", () => this.#showEvent(id));
        return button;
      });
      const hadFocus = events.contains(document.activeElement);
      events.replaceChildren(make("span", { class: "muted" }, "Event"), ...buttons);
      if (hadFocus) buttons.at(-1).focus();
    }
    for (const button of events.querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.id === this.#eventId);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  #showEvent(id) {
    this.#stop();
    [this.#eventId, this.#shown, this.#sink, this.#since] = [id, "", null, performance.now()];
    this.#on.event(id);
    if (this.#open.step) this.#drawEvents();
    this.#parts.content.replaceChildren(make("p", { class: "muted" }, id ? "Loading" : "This step has no event yet: its turn has not come."));
    if (id) this.#load(id);
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
      else this.#say("This event cannot be read now", text);
      if (response.status === 404) {
        again = false;
        this.#say("No longer kept", "The observer keeps the last runs, and the history of their events. This event is older, or the observer has restarted.");
      }
    } catch (error) {
      if (this.#abort !== abort) return;
      this.#say("This event cannot be read now", error instanceof SyntaxError ? "The answer of the observer is no JSON." : "The observer does not answer.");
    }
    this.#abort = null;
    const pause = performance.now() - this.#since < LONG_PAUSE_AFTER_MS ? SHORT_PAUSE_MS : LONG_PAUSE_MS;
    if (again) this.#loadAfter(pause, id);
  }

  /** A page that nobody sees waits on: a browser has few connections per host. */
  #loadAfter(pause, id) {
    this.#timer = setTimeout(() => (document.hidden ? this.#loadAfter(pause, id) : this.#load(id)), pause);
  }

  #say(title, text) {
    this.#shown = "";
    this.#parts.content.replaceChildren(make("h3", {}, title), foreign(text, "p", { class: "muted" }));
  }

  /** Shows an answer, unless it is the one that is shown. Returns whether to ask again. */
  #show(text) {
    const answer = JSON.parse(text);
    const facts = readHistory(answer);
    if (text !== this.#shown) {
      this.#shown = text;
      const { content, title } = this.#parts;
      const focused = content.contains(document.activeElement) ? document.activeElement.id : null;
      content.replaceChildren(...showEvent(answer, facts, this.#sink, (name) => (this.#sink = name)));
      if (focused !== null) (byId(focused) ?? title).focus({ preventScroll: true });
    }
    return !isSettled(facts);
  }
}
