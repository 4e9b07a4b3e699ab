// One event: the verdicts of its plugins; for each sink the attempts, and what it got.

import { describeLog, readBody, showBody, showLog } from "./body.js";
import { foreign, make, makeShape, makeTabs } from "./dom.js";
import { bytes, clock, count, duration, micros, time } from "./text.js";

const SHAPES = {
  delivered: "succeeded", "dead letter": "failed", failed: "failed", retrying: "attention", waiting: "waiting", dropped: "skipped",
  kept: "succeeded", stripped: "attention", "passed by": "attention", held: "attention",
};

const muted = (text) => foreign(text, "p", { class: "muted" });
const clockOf = (text) => (time(text) === null ? "" : clock(time(text), true));

/** Shows an event. `sink` is the name of the tab to open; `onSink(name)` is called for each that is opened. */
export function showEvent({ id, history, historyLeftOut, bodies = [] }, facts, sink, onSink) {
  const nodes = [make("h3", {}, "Plugins"), ...showPlugins(facts, history), make("h3", {}, "Sinks")];
  if (historyLeftOut) nodes.splice(-1, 0, muted(`${count(historyLeftOut)} entries in the middle of the history are not shown.`));
  if (facts.sinks.length) {
    const entries = facts.sinks.map(({ name, state }) => ({ key: name, label: [makeShape(SHAPES[state]), foreign(name)] }));
    const show = (name, panel) => {
      onSink(name);
      panel.replaceChildren(...showSink(facts.sinks.find((one) => one.name === name), bodies));
    };
    nodes.push(...makeTabs("sink", "Sinks", entries, sink, show));
  } else nodes.push(muted(facts.isAccepted ? "No sink gets this event: a plugin dropped it, or no sink selects it." : "The event has no sink yet."));
  return [...nodes, make("p", { class: "id" }, make("span", { class: "muted" }, "Event id "), foreign(id, "code"))];
}

function showPlugins({ observed, chains, holds }, history) {
  if (!history?.length) return [muted("Nothing is known of the way of this event: its history is not kept, or not written yet.")];
  const rows = holds.map(({ at, plugin, reason }) => makeRow(at, plugin, "held", "", reason));
  for (const { at, sinks, calls } of chains) {
    for (const { plugin, version, verdict, micros: took = 0, masked, reason, digest } of calls) {
      const notes = [version, micros(took), masked && `${count(masked)} masked`, chains.length > 1 && sinks.length && `for ${sinks.join(", ")}`];
      rows.push(makeRow(at, plugin, verdict, notes.filter(Boolean).join(" \u00b7 "), reason, digest && `sha256 ${digest}`));
    }
  }
  const nodes = rows.length ? [make("ol", { class: "way" }, rows)] : [muted(chains.length ? "The event passed no plugin." : "The event has not passed the plugins yet.")];
  if (observed && chains.length) nodes.push(muted(`Observed ${clockOf(observed)}, accepted ${clockOf(chains[0].at)}, after ${duration(time(chains[0].at) - time(observed))}.`));
  return nodes;
}

function showSink({ state, attempts, body, isGone }, bodies) {
  const rows = attempts.map(({ at, state: result, number, text }) => makeRow(at, number === null ? "" : `attempt ${number}`, result, "", text));
  const nodes = [rows.length ? make("ol", { class: "way" }, rows) : muted(`${state}: no attempt has ended yet.`)];
  const kept = bodies[body];
  if (isGone) return [...nodes, make("p", { class: "gone" }, "The event as this sink got it is no longer kept.")];
  if (!kept) return [...nodes, muted("This sink has no event yet.")];
  const read = readBody(kept);
  if (read && (read.log !== null || read.info)) {
    nodes.push(make("h4", {}, "Log ", foreign(describeLog(read.info, read.redaction), "span", { class: "muted" })));
    if (read.log) nodes.push(...showLog(read.log));
    else if (read.log === "") nodes.push(muted("The step printed nothing."));
  }
  const about = [kept.mode, kept.contentType, bytes(kept.bytes ?? kept.text.length)].filter(Boolean).join(", ");
  nodes.push(make("h4", {}, "Event as sent ", foreign(about, "span", { class: "muted" })));
  const headers = (kept.headers ?? []).map(([name, value]) => make("div", {}, foreign(name, "dt"), foreign(value, "dd")));
  if (headers.length) nodes.push(make("dl", { class: "headers" }, headers));
  return [...nodes, ...showBody(read, kept)];
}

/** A line: when, what, with which result, and why. */
function makeRow(at, name, result, notes, why, title) {
  const what = make("span", { class: "what" }, name && foreign(name, "b"), " ", foreign(result));
  if (notes) what.append(foreign(notes, "span", { class: "muted notes", title }));
  if (why) what.append(foreign(why, "span", { class: "why" }));
  return make("li", {}, make("span", { class: "at" }, clockOf(at)), makeShape(SHAPES[result] ?? "attention"), what);
}
