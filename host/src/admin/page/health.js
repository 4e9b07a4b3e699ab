// The state of the observer: the banner when it is not ready, its plugins and its sinks.

import { byId, foreign, make, makeShape, setForeign, setHidden, setShape } from "./dom.js";
import { clock, count, duration, micros, plural, time } from "./text.js";

/** An event that waits so long for a sink is worth a look. */
const LATE_SECONDS = 60;
const PLUGIN_STATES = {
  fetching: ["waiting", "being fetched from its registry, has no effect yet"],
  loading: ["waiting", "loading"],
  loaded: ["succeeded", "loaded"],
  lastGood: ["attention", "the last version is refused, the one before it works"],
  rejected: ["failed", "refused, has no effect"],
  standIn: ["failed", "could not be loaded, fails on every event"],
};

/** Draws a status; `{}` draws nothing. */
export function drawHealth({ version = "", ready, notReady = [], watches = [], waiting = {}, plugins = [], journal = {} }) {
  setForeign(byId("version"), version);
  setHidden(byId("not-ready"), ready !== false);
  drawList(byId("not-ready-reasons"), ready === false ? notReady : [], () => foreign("", "li"), setForeign);
  const pluginCards = plugins.map((plugin) => describePlugin(plugin, waiting));
  const sinkCards = (journal.sinks ?? []).map(describeSink);
  drawList(byId("plugins"), pluginCards, makeCard, drawCard);
  drawList(byId("sinks"), sinkCards, makeCard, drawCard);
  setHidden(byId("no-plugins"), plugins.length > 0);
  const badly = (cards, word) => {
    const number = cards.filter(({ shape }) => shape === "attention" || shape === "failed").length;
    return number ? ` (${number} ${word})` : "";
  };
  const words = [plural(plugins.length, "plugin") + badly(pluginCards, "with a problem"), plural(sinkCards.length, "sink") + badly(sinkCards, "with a problem")];
  const failing = watches.filter(({ failingSeconds }) => failingSeconds !== undefined);
  if (failing.length) words.push(`failing watch: ${failing.map(({ resource }) => resource).join(", ")}`);
  if (waiting.held) words.push(`${plural(waiting.held, "event")} held by plugins`);
  if (waiting.runsSetAside) words.push(`${plural(waiting.runsSetAside, "run")} deferred`);
  setForeign(byId("health-summary"), words.join(" \u00b7 "));
}

/** Draws entries into the children of a list, which stay. */
function drawList(list, entries, makeItem, drawItem) {
  while (list.children.length > entries.length) list.lastElementChild.remove();
  while (list.children.length < entries.length) list.append(makeItem());
  entries.forEach((entry, at) => drawItem(list.children[at], entry));
}

function makeCard() {
  const [name, state, facts, why] = [foreign("", "b"), foreign(""), foreign("", "span", { class: "muted" }), foreign("", "span", { class: "why" })];
  const shape = makeShape("waiting");
  const card = make("li", {}, shape, make("div", {}, make("span", { class: "card-title" }, name, state), facts, why));
  card.parts = { shape, name, state, facts, why };
  return card;
}

function drawCard({ parts }, { shape, ...texts }) {
  setShape(parts.shape, shape);
  for (const [part, text] of Object.entries(texts)) setForeign(parts[part], text);
}

const join = (words, separator) => words.filter(Boolean).join(separator);

function describePlugin({ name, state, refused, loaded = {}, counts }, { heldBy, held, heldSeconds }) {
  const [shape, word] = PLUGIN_STATES[state] ?? ["attention", state];
  const { calls = 0, dropped = 0, seconds = 0 } = counts ?? {};
  const failed = Object.values(counts?.failed ?? {}).reduce((sum, number) => sum + number, 0);
  const facts = [
    loaded.version, loaded.onError && `on error: ${loaded.onError}`, counts && plural(calls, "call"), calls && `${micros(Math.round((seconds / calls) * 1e6))} per call`,
    dropped && `${count(dropped)} dropped`, failed && `${count(failed)} failed`,
  ];
  const holds = heldBy === name && `holds ${plural(held, "event")}, the oldest for ${duration(heldSeconds * 1000)}`;
  const isTroubled = shape === "succeeded" && (holds || failed);
  return { name, shape: isTroubled ? "attention" : shape, state: word, facts: join(facts, " \u00b7 "), why: join([refused?.reason, holds], "; ") };
}

function describeSink({ name, delivered, failedAttempts, waiting, oldestSeconds, pausedUntil, deadLetters, held }) {
  const until = time(pausedUntil);
  const isTroubled = (waiting && oldestSeconds >= LATE_SECONDS) || until !== null || held || deadLetters;
  const facts = [`${count(delivered)} delivered`, failedAttempts && plural(failedAttempts, "failed attempt"), deadLetters && plural(deadLetters, "dead letter")];
  const why = [until !== null && `the receiver asks for a pause until ${clock(until)}`, held && `${plural(held, "event")} cannot become a dead letter: there are too many`];
  return {
    name, shape: isTroubled ? "attention" : "succeeded", facts: join(facts, " \u00b7 "), why: join(why, "; "),
    state: waiting ? `${count(waiting)} waiting, the oldest for ${duration(oldestSeconds * 1000)}` : "nothing waits",
  };
}
