// The state of the observer: the banner when it is not ready, its plugins and its sinks.

import { byId, foreign, make, makeShape, setForeign, setShape, setText } from "./dom.js";
import { clock, count, duration, micros, plural, time } from "./text.js";

/** An event that waits for a sink so long is worth a look. */
const LATE_SECONDS = 60;
const STATES = {
  loading: ["waiting", "loading"],
  loaded: ["succeeded", "loaded"],
  lastGood: ["attention", "the last version is refused, the one before it works"],
  rejected: ["failed", "refused, has no effect"],
  standIn: ["failed", "could not be loaded, fails on every event"],
};

export class Health {
  #cards = new Map();

  /** Draws a status. */
  draw(status) {
    setForeign(byId("version"), status.version ?? "");
    this.#drawReasons(status.ready === false ? (status.notReady ?? []) : []);
    const { watches = [], waiting = {}, plugins = [], journal = {} } = status;
    const sinks = journal.sinks ?? [];
    this.#drawCards("plugins", plugins.map((plugin) => describePlugin(plugin, waiting)), "No plugin is loaded: events pass unchanged.");
    this.#drawCards("sinks", sinks.map(describeSink), "There is no sink.");
    const troubled = plugins.filter(({ state }) => state !== "loaded" && state !== "loading").length;
    const late = sinks.filter((sink) => describeSink(sink).shape === "attention").length;
    const words = [plural(plugins.length, "plugin") + (troubled ? ` (${troubled} with a problem)` : ""), plural(sinks.length, "sink") + (late ? ` (${late} behind)` : "")];
    const failing = watches.filter(({ failingSeconds }) => failingSeconds !== undefined).map(({ resource }) => resource);
    if (failing.length) words.push(`watch of ${failing.join(", ")} is failing`);
    if (waiting.held) words.push(`${plural(waiting.held, "event")} held by plugins`);
    if (waiting.runsSetAside) words.push(`${plural(waiting.runsSetAside, "run")} deferred`);
    setForeign(byId("health-summary"), words.join(" \u00b7 "));
  }

  clear() {
    setText(byId("version"), "");
    this.#drawReasons([]);
    this.#drawCards("plugins", [], "");
    this.#drawCards("sinks", [], "");
  }

  #drawReasons(reasons) {
    const list = byId("not-ready-reasons");
    byId("not-ready").hidden = reasons.length === 0;
    const shown = [...list.children].map((item) => item.dataset.text);
    if (shown.join("\n") === reasons.join("\n")) return;
    list.replaceChildren(
      ...reasons.map((reason) => {
        const item = foreign(reason, "li");
        item.dataset.text = reason;
        return item;
      }),
    );
  }

  /** Updates the cards of a list in place; makes new ones only for new names. */
  #drawCards(id, cards, nothing) {
    const list = byId(id);
    const names = cards.map(({ name }) => name);
    if (list.dataset.names !== JSON.stringify(names)) {
      list.dataset.names = JSON.stringify(names);
      this.#cards.set(id, cards.map(makeCard));
      const items = this.#cards.get(id).map(({ item }) => item);
      list.replaceChildren(...(items.length || !nothing ? items : [make("li", { class: "muted" }, nothing)]));
    }
    cards.forEach((card, at) => drawCard(this.#cards.get(id)[at], card));
  }
}

function makeCard() {
  const parts = { shape: makeShape("waiting"), name: foreign("", "b"), state: foreign(""), facts: foreign("", "span", { class: "muted" }), why: foreign("", "span", { class: "why" }) };
  parts.item = make("li", {}, parts.shape, make("div", {}, make("span", { class: "card-title" }, parts.name, parts.state), parts.facts, parts.why));
  return parts;
}

function drawCard(parts, { name, shape, state, facts, why }) {
  setShape(parts.shape, shape);
  setForeign(parts.name, name);
  setForeign(parts.state, state);
  setForeign(parts.facts, facts);
  setForeign(parts.why, why);
  parts.why.hidden = why === "";
}

function describePlugin({ name, state, refused, loaded, counts }, { heldBy, held, heldSeconds }) {
  const [shape, word] = STATES[state] ?? ["attention", String(state)];
  const facts = [];
  if (loaded?.version) facts.push(loaded.version);
  if (loaded?.onError) facts.push(`on error: ${loaded.onError}`);
  let failed = 0;
  if (counts) {
    failed = Object.values(counts.failed ?? {}).reduce((sum, number) => sum + number, 0);
    facts.push(plural(counts.calls, "call"));
    if (counts.calls) facts.push(`${micros(Math.round((counts.seconds / counts.calls) * 1e6))} per call`);
    if (counts.dropped) facts.push(`${count(counts.dropped)} dropped`);
    if (failed) facts.push(`${count(failed)} failed`);
  }
  const holds = heldBy === name ? `holds ${plural(held, "event")}, the oldest for ${duration(heldSeconds * 1000)}` : "";
  const why = [refused?.reason, holds].filter(Boolean).join("; ");
  return { name, shape: holds || (failed && shape === "succeeded") ? "attention" : shape, state: word, facts: facts.join(" \u00b7 "), why };
}

function describeSink({ name, delivered, failedAttempts, waiting, oldestSeconds, pausedUntil, deadLetters, held }) {
  const facts = [`${count(delivered)} delivered`];
  if (failedAttempts) facts.push(plural(failedAttempts, "failed attempt"));
  if (deadLetters) facts.push(plural(deadLetters, "dead letter"));
  const why = [];
  const until = time(pausedUntil);
  if (until !== null) why.push(`the receiver asks for a pause until ${clock(until)}`);
  if (held) why.push(`${plural(held, "event")} cannot become a dead letter: there are too many`);
  const isLate = waiting > 0 && oldestSeconds >= LATE_SECONDS;
  const state = waiting ? `${count(waiting)} waiting, the oldest for ${duration(oldestSeconds * 1000)}` : "nothing waits";
  return { name, shape: isLate || until !== null || held || deadLetters ? "attention" : "succeeded", state, facts: facts.join(" \u00b7 "), why: why.join("; ") };
}
