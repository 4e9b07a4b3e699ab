// The filter, and its form in the fragment of the URL, so that a reload and a link keep it.

import { STATES } from "./model.js";

/** Longest text that is taken from the fragment: the longest name in Kubernetes. Ids of events are longer. */
const MAX_NAME = 253;
const MAX_ID = 1024;

/** Reads `#namespace=ci&name=web&state=failed,running&event=ID`. Whatever it does not know, it ignores. */
export function parseFragment(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const text = (name, max) => (fields.get(name) ?? "").slice(0, max);
  const states = (fields.get("state") ?? "").split(",");
  return {
    namespace: text("namespace", MAX_NAME),
    name: text("name", MAX_NAME),
    states: STATES.filter((state) => states.includes(state)),
    event: text("event", MAX_ID),
  };
}

/** The inverse of `parseFragment`. Nothing to say gives an empty text. */
export function formatFragment({ namespace, name, states, event }) {
  const fields = new URLSearchParams();
  if (namespace) fields.set("namespace", namespace);
  if (name) fields.set("name", name);
  if (states.length) fields.set("state", states.join(","));
  if (event) fields.set("event", event);
  const text = fields.toString().replaceAll("%2C", ",");
  return text && `#${text}`;
}

/** Whether the filter hides single steps, so that a collapsed run would hide what was asked for. */
export const isNarrow = ({ name, states }) => name !== "" || states.length > 0;

const includes = (text, wanted) => typeof text === "string" && text.toLowerCase().includes(wanted);

/** Whether the name of a run, or of what it belongs to, passes: then all of its steps do. */
function runPasses(wanted, run) {
  return [run.pipelineRun, run.taskRun, run.pipelineTask].some((text) => includes(text, wanted));
}

/** The steps of a run that pass the filter. */
export function passingSteps({ namespace, name, states }, run) {
  if (namespace && run.namespace !== namespace) return [];
  const wanted = name.toLowerCase();
  const whole = runPasses(wanted, run);
  return run.steps.filter(
    (step) => (states.length === 0 || states.includes(step.state)) && (whole || includes(step.name, wanted)),
  );
}

/** Whether a run is shown that has no steps yet. */
export function passesWithoutSteps({ namespace, name, states }, run) {
  if (namespace && run.namespace !== namespace) return false;
  return states.length === 0 && runPasses(name.toLowerCase(), run);
}
