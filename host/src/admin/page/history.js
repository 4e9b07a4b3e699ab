// What happened to an event, from the entries of its history. No DOM.

/** An event without an end for a sink is asked for again. */
export const isSettled = (facts) => facts.isAccepted && facts.sinks.every(({ state }) => state === "delivered" || state === "dead letter" || state === "dropped");

/**
 * Sorts the answer of `page/events/ID` by who did something: `{observed, type, subject, isAccepted, chains, holds, sinks}`.
 * `chains` has the verdicts of plugins, with the sinks that they were for; `sinks` has the attempts of each sink.
 */
export function readHistory({ history = [], sinks = [] }) {
  const facts = { observed: null, type: "", subject: "", isAccepted: false, chains: [], holds: [], sinks: [] };
  const byName = new Map();
  const sink = (name) => {
    if (!byName.has(name)) {
      const entry = { name, state: "waiting", body: null, isGone: false, attempts: [] };
      byName.set(name, entry);
      facts.sinks.push(entry);
    }
    return byName.get(name);
  };
  for (const { name, body, gone } of sinks) Object.assign(sink(name), { body: body ?? null, isGone: gone === true });
  for (const entry of history) readEntry(entry, facts, sink);
  return facts;
}

function readEntry(entry, facts, sink) {
  const { at } = entry;
  const attempt = (name, state, number, text) => {
    const found = sink(name);
    found.attempts.push({ at, state, number, text });
    if (state !== "failed") found.state = state;
    else if (found.state !== "delivered") found.state = "retrying";
  };
  switch (entry.is) {
    case "accepted":
      facts.isAccepted = true;
      facts.observed ??= entry.observed;
      facts.type ||= entry.type;
      facts.subject ||= entry.subject;
      facts.chains.push({ at, sinks: entry.sinks ?? [], calls: entry.plugins ?? [] });
      for (const name of entry.sinks ?? []) sink(name);
      break;
    case "held":
      facts.holds.push({ at, plugin: entry.plugin, reason: entry.reason });
      break;
    case "failed":
      attempt(entry.sink, "failed", entry.attempt, failure(entry));
      break;
    case "delivered":
      attempt(entry.sink, "delivered", entry.attempt, "");
      break;
    case "dead":
      attempt(entry.sink, "dead letter", entry.attempts, `${entry.reason}${entry.to ? `; goes to ${entry.to}` : ""}`);
      if (entry.to) sink(entry.to);
      break;
    case "sentAgain":
      attempt(entry.sink, "waiting", null, `an operator sent the dead letter of ${entry.from} again`);
      break;
    case "discarded":
      attempt(entry.sink, "dropped", null, "the dead letter was dropped");
      break;
  }
}

function failure({ reason, retryInMs, pausedUntil }) {
  if (pausedUntil) return `${reason}; the sink asks for a pause until ${pausedUntil}`;
  return retryInMs == null ? reason : `${reason}; the next in ${retryInMs} ms`;
}
