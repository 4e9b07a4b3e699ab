// The table of runs, as the stream describes it. No DOM, no clock: the caller passes the time.

import { time } from "./text.js";

/** The states of a step, in the order of the filter. */
export const STATES = ["waiting", "running", "succeeded", "failed", "skipped"];
/** A group shows the first of these states that one of its steps has. */
const DOMINANT = ["failed", "running", "waiting", "succeeded", "skipped"];

/** Bounds that the server keeps, too: a page must not grow without end even if the server is wrong. */
const MAX_RUNS = 1000;
const MAX_STEPS = 200;

const known = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const list = (value) => (Array.isArray(value) ? value : []);

/** All runs, grouped by PipelineRun. A TaskRun without one is a group of its own. */
export class Table {
  runs = new Map();
  groups = new Map();

  /** Replaces the table. Runs that stay keep their place. Returns what changed, as `change` does. */
  snapshot(data) {
    const runs = list(data.runs);
    const kept = new Set(runs.map((run) => run?.uid));
    const changes = noChanges();
    for (const run of [...this.runs.values()]) {
      if (!kept.has(run.uid)) this.#remove(run, changes);
      // A snapshot is complete: a step that it does not list is gone.
      else run.steps = [];
    }
    for (const run of runs) this.#merge(run, changes);
    return changes;
  }

  /** Applies a change. Returns the groups and runs to draw, and the groups and runs that are gone. */
  change(data) {
    const changes = noChanges();
    for (const uid of list(data.gone)) {
      const run = this.runs.get(uid);
      if (run) this.#remove(run, changes);
    }
    for (const run of list(data.runs)) this.#merge(run, changes);
    return changes;
  }

  /** Finds the step that an event is about. */
  stepOfEvent(id) {
    for (const run of this.runs.values()) {
      const step = run.steps.find(({ events }) => events.some((event) => event.id === id));
      if (step) return { run, step };
    }
    return null;
  }

  #merge(news, changes) {
    if (typeof news?.uid !== "string") return;
    let run = this.runs.get(news.uid);
    if (!run) {
      if (this.runs.size >= MAX_RUNS) this.#remove(this.runs.values().next().value, changes);
      run = { uid: news.uid, namespace: "", taskRun: news.uid, steps: [] };
      this.runs.set(run.uid, run);
    }
    const { steps, ...members } = known(news);
    Object.assign(run, members);
    mergeSteps(run, list(steps));
    this.#regroup(run, changes);
    changes.runs.add(run);
    changes.groups.add(run.group);
  }

  /** A run may learn its PipelineRun late: it moves to that group. */
  #regroup(run, changes) {
    const key = groupKey(run);
    if (run.group?.key === key) return;
    if (run.group) this.#leave(run, changes);
    let group = this.groups.get(key);
    if (!group) {
      const { namespace, pipelineRun } = run;
      group = { key, namespace, isPipeline: Boolean(pipelineRun), name: pipelineRun || run.taskRun, runs: [] };
      this.groups.set(key, group);
      changes.goneGroups.delete(group);
    }
    run.group = group;
    group.runs.push(run);
  }

  #leave(run, changes) {
    const { group } = run;
    group.runs = group.runs.filter((other) => other !== run);
    changes.groups.add(group);
    changes.goneRuns.add(run.uid);
    if (group.runs.length === 0) {
      this.groups.delete(group.key);
      changes.groups.delete(group);
      changes.goneGroups.add(group);
    }
  }

  #remove(run, changes) {
    this.runs.delete(run.uid);
    changes.runs.delete(run);
    this.#leave(run, changes);
  }
}

const noChanges = () => ({ groups: new Set(), runs: new Set(), goneGroups: new Set(), goneRuns: new Set() });

function groupKey({ uid, namespace, pipelineRun, pipelineRunUid }) {
  if (!pipelineRun) return `run ${uid}`;
  return pipelineRunUid ? `pipeline ${pipelineRunUid}` : `name ${namespace}/${pipelineRun}`;
}

function mergeSteps(run, news) {
  const known = new Set(run.steps.map(({ key }) => key));
  const newest = new Map();
  for (const step of news) {
    if (step === null || typeof step !== "object") continue;
    newest.set(step.key, { ...step, state: STATES.includes(step.state) ? step.state : "waiting", events: list(step.events) });
  }
  const added = [...newest.values()].filter(({ key }) => !known.has(key)).sort((one, other) => one.index - other.index);
  const steps = [...run.steps.map((step) => newest.get(step.key) ?? step), ...added];
  // Stable: within an attempt, the steps of a new pod come after those of the old one.
  steps.sort((one, other) => (one.attempt ?? 0) - (other.attempt ?? 0));
  run.steps = steps.slice(0, MAX_STEPS);
}

/** The steps that say how a run is: those of its last attempt. */
export function lastAttempt(run) {
  const last = run.steps.at(-1)?.attempt;
  return run.steps.filter(({ attempt }) => attempt === last);
}

/** The state that stands for several steps. A failure that the task continued after counts as an end like any other. */
export function stateOf(steps) {
  const states = new Set(steps.map((step) => (isContinued(step) ? "succeeded" : step.state)));
  return DOMINANT.find((state) => states.has(state)) ?? "waiting";
}

const isContinued = (step) => step.state === "failed" && step.reason === "Continued";

/** Start and end of a step at a time `now`, in milliseconds; null if unknown. What runs ends now. */
export function spanOf(step, now) {
  const start = time(step.startedAt);
  const end = step.state === "running" ? now : time(step.endedAt);
  if (start === null) return { start: null, end };
  return { start, end: end === null ? null : Math.max(start, end) };
}

/** Start, end and whether something runs, of several steps. */
export function spanOfAll(steps, now) {
  let [start, end, runs] = [Infinity, -Infinity, false];
  for (const step of steps) {
    const span = spanOf(step, now);
    runs ||= step.state === "running";
    if (span.start === null) continue;
    start = Math.min(start, span.start);
    end = Math.max(end, span.end ?? span.start);
  }
  return start === Infinity ? { start: null, end: null, runs } : { start, end, runs };
}

const CAUSES = {
  whenFalse: "when was false",
  previousStepFailed: "an earlier step failed",
  neverStarted: "the run ended before its turn",
  initContainerFailed: "an init container failed",
  initContainerOOM: "an init container was out of memory",
};

/** State, exit code and reason of a step in words. The state comes first. */
export function resultOf(step) {
  const words = [step.state];
  if (step.state === "failed") {
    if (step.exitCode != null) words.push(`exit ${step.exitCode}`);
    if (step.reason && step.reason !== "Error") words.push(step.reason);
  }
  if (step.state === "skipped" && step.cause) words.push(CAUSES[step.cause] ?? step.cause);
  return words.join(" \u00b7 ");
}
