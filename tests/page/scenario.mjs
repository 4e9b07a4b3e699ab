// What the mock plays: runs of a small company, as an observer would show them. All times are seconds after `ORIGIN`.

export const ORIGIN = Date.parse("2026-11-22T13:04:00Z");

/** A time of the scenario in RFC 3339. */
export const at = (seconds) => new Date(ORIGIN + seconds * 1000).toISOString();

const uid = (number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** The id of an event, made as the observer makes it. */
export const eventId = (run, attempt, name, phase) => `${run}-pod${attempt}-${name}-dev.tekton.event.plugin.step.${phase}.v1`;

let nextUid = 1;

/** A TaskRun whose steps follow each other. `steps` are `[name, seconds, end]`; `end` overrides members of the STEP. */
function taskRun({ namespace = "ci", pipelineRun, pipelineTask, name, begin, attempt = 0, id = uid(nextUid++), steps, pod = 2 }) {
  const taskRunName = name ?? `${pipelineRun}-${pipelineTask}`;
  const head = { uid: id, namespace, taskRun: taskRunName, deleted: false, stepsLeftOut: 0 };
  if (pipelineRun) Object.assign(head, { pipelineRun, pipelineRunUid: `uid-of-${namespace}-${pipelineRun}`, pipelineTask });
  const make = (index, members) => ({ key: `${attempt}-pod${attempt}-${index}`, attempt, index, name: steps[index][0], exitCode: null, reason: null, cause: null, events: [], ...members });
  const changes = [[begin, { ...head, steps: steps.map((_, index) => make(index, { state: "waiting" })) }]];
  let time = begin + pod;
  steps.forEach(([step, seconds, end = {}], index) => {
    const state = end.state ?? "succeeded";
    const events = [];
    const started = { startedAt: at(time), startedAtSource: index ? "entrypoint" : "inferred", waitMs: index ? 20 : pod * 1000 };
    if (state !== "skipped") {
      events.push({ id: eventId(id, attempt, step, "started"), phase: "started" });
      changes.push([time, { uid: id, steps: [make(index, { state: "running", ...started, events: [...events] })] }]);
      time += seconds;
    }
    events.push({ id: eventId(id, attempt, step, state), phase: state });
    const reason = { succeeded: "Completed", failed: "Error", skipped: "Skipped" }[state];
    const exitCode = { succeeded: 0, failed: 1, skipped: null }[state];
    changes.push([time, { uid: id, steps: [make(index, { reason, exitCode, ...(state === "skipped" ? {} : started), endedAt: at(time), ...end, state, events })] }]);
    time += 0.02;
  });
  return changes;
}

const failed = (exitCode, reason = "Error") => ({ state: "failed", exitCode, reason });
const skipped = (cause) => ({ state: "skipped", cause });
const RETRIED = uid(900);

/** All changes, `[seconds, RUN]`, in order. The main part ends at second 100; some steps run on. */
export function scenario() {
  nextUid = 1;
  return [
    taskRun({ namespace: "payments", pipelineRun: "ledger-api-112", pipelineTask: "verify", begin: -214, steps: [["clone", 1.1], ["unit-tests", 48], ["lint", 9.2]] }),
    taskRun({ namespace: "payments", pipelineRun: "ledger-api-112", pipelineTask: "publish", begin: -150, steps: [["build-image", 31], ["push", 6.4], ["sign", 0.8]] }),
    taskRun({ namespace: "docs", pipelineRun: "handbook-318", pipelineTask: "render", begin: -122, steps: [["clone", 0.6], ["render", 7.8], ["check-links", 14], ["upload", 2.2]] }),
    taskRun({ namespace: "security", name: "nightly-scan", begin: -96, steps: [["update-database", 4.1], ["scan", 63, failed(137, "OOMKilled")], ["report", 0, skipped("previousStepFailed")]] }),
    taskRun({ pipelineRun: "shop-web-7", pipelineTask: "build", begin: -58, steps: [["clone", 0.9], ["compile", 17.4], ["test", 12.3]] }),
    taskRun({ pipelineRun: "shop-web-7", pipelineTask: "release", begin: -20, steps: [["login", 0.4], ["sign", 0.8, failed(4, "Continued")], ["push", 3.1, failed(1)], ["announce", 0, skipped("previousStepFailed")]] }),
    taskRun({ namespace: "payments", pipelineRun: "risk-model-40", pipelineTask: "train", id: RETRIED, attempt: 0, begin: -8, steps: [["fetch", 2], ["train", 6, failed(1)]] }),
    taskRun({ namespace: "payments", pipelineRun: "risk-model-40", pipelineTask: "train", id: RETRIED, attempt: 1, begin: 12, steps: [["fetch", 1.8], ["train", 240]] }),
    taskRun({ pipelineRun: "shop-web-8", pipelineTask: "build", begin: 6, steps: [["clone", 0.8], ["compile", 18.1], ["test", 11.6]] }),
    taskRun({ pipelineRun: "shop-web-8", pipelineTask: "integration", begin: 40, steps: [["start-services", 8.2], ["run-tests", 200], ["collect-reports", 2], ["stop-services", 1]] }),
    taskRun({ pipelineRun: "shop-web-8", pipelineTask: "scan", begin: 42, steps: [["sbom", 5.5], ["vulnerabilities", 9], ["licences", 0, skipped("whenFalse")]] }),
  ]
    .flat()
    .map((entry, order) => [...entry, order])
    .sort((one, other) => one[0] - other[0] || one[2] - other[2])
    .map(([seconds, run]) => [seconds, run]);
}

/** Names that a page must show as text, whatever they contain. */
export const HOSTILE = {
  markup: "<img src=x onerror=alert(1)>",
  long: `${"x".repeat(252)}z`,
  rightToLeft: "safe\u202Egnp.exe\u2066",
  controls: "a\u0000b\u001b[31mred\u0007\n\u200bend",
};

export function hostileRuns() {
  return Object.entries(HOSTILE).map(([kind, name], index) => ({
    uid: `hostile-${kind}`,
    namespace: name,
    taskRun: name,
    pipelineRun: name,
    pipelineTask: name,
    steps: [{ key: `0-${index}`, attempt: 0, index: 0, name, state: "failed", startedAt: at(1), endedAt: at(2), exitCode: 1, reason: name, events: [{ id: `${name}-event`, phase: "failed" }] }],
  }));
}

/** The answer for an event of which every text is hostile. */
export function hostileAnswer() {
  const name = `${HOSTILE.rightToLeft}${HOSTILE.controls}${HOSTILE.markup}${HOSTILE.long}`;
  const text = JSON.stringify({ log: `${name}\n${"y".repeat(100_000)}\n[redacted:${name}]`, logInfo: { bytes: 1, unavailable: name, incomplete: name }, redaction: { rules: { [name]: 1 } } });
  return {
    id: name, historyLeftOut: 3, sinks: [{ name, body: 0 }], bodies: [{ mode: "binary", contentType: name, headers: [[name, name]], text, bytes: text.length }],
    history: [
      { id: name, at: at(2), is: "accepted", observed: at(2), type: name, subject: name, sinks: [name], plugins: [{ plugin: name, version: name, digest: name, verdict: name, micros: 1, reason: name }] },
      { id: name, at: name, is: "held", plugin: name, reason: name },
      { id: name, at: at(3), is: "dead", sink: name, attempts: 1, reason: name, to: null },
    ],
  };
}

/** `count` runs of `steps` steps, all of which run. */
export function manyRuns(count, steps) {
  return Array.from({ length: count }, (_, run) => ({
    uid: `many-${run}`,
    namespace: `team-${run % 7}`,
    taskRun: `load-${run}`,
    pipelineRun: `load-${run >> 2}`,
    pipelineTask: `task-${run % 4}`,
    steps: Array.from({ length: steps }, (_, index) => ({
      key: `0-${index}`, attempt: 0, index, name: `step-${index}`, state: index < 2 ? "succeeded" : index === 2 ? "running" : "waiting",
      startedAt: index < 3 ? at(index) : undefined, endedAt: index < 2 ? at(index + 1) : undefined, exitCode: index < 2 ? 0 : null, events: [],
    })),
  }));
}

/** The answer of `GET /status` at a second of the scenario. */
export function status(seconds, { notReady = [] } = {}) {
  const calls = 1180 + Math.max(0, Math.round(seconds * 1.5));
  return {
    now: at(seconds), version: "0.1.0", ready: notReady.length === 0, notReady,
    watches: [{ resource: "pods", ageSeconds: 1, failures: 0, relists: 0 }, { resource: "taskruns", ageSeconds: 1, failures: 0, relists: 0 }],
    waiting: { held: 0, heldSeconds: 0, runsSetAside: 0, runsGivenUp: 0 },
    plugins: [
      { name: "redact-secrets", state: "loaded", loaded: { name: "redact-secrets", version: "0.1.0", onError: "strip" }, counts: { calls, kept: calls, dropped: 0, failed: {}, seconds: calls * 0.00034 } },
      { name: "enrich-run", state: "lastGood", refused: { reason: "plugin.yaml:4: unknown member `lables`; did you mean `labels`?" }, loaded: { name: "enrich-run", version: "0.1.0", onError: "pass" }, counts: { calls, kept: calls - 3, dropped: 0, failed: { timeout: 3 }, seconds: calls * 0.00011 } },
    ],
    journal: {
      sinks: [
        { name: "broker", delivered: 2210 + calls, failedAttempts: 14, waiting: 37, oldestSeconds: 84, deadLetters: 0, held: 0, pausedUntil: at(seconds + 20) },
        { name: "audit", delivered: 2247 + calls, failedAttempts: 0, waiting: 0, oldestSeconds: 0, deadLetters: 0, held: 0 },
        { name: "failures", delivered: 61, failedAttempts: 0, waiting: 0, oldestSeconds: 0, deadLetters: 0, held: 0 },
      ],
    },
  };
}
