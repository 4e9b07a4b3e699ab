// The answers of `page/events/ID` for the steps of the scenario.

const LOG = [
  "Signing registry.example/shop/web@sha256:4b1c…",
  "Loading key for ci-bot",
  "using https://ci-bot:[redacted:github-personal-access-token]@git.example.com/shop/web.git",
  "AWS_SECRET_ACCESS_KEY=[redacted:aws-secret-access-key]",
  "[redacted:private-key]",
  "\u001b[33mwarning\u001b[0m: the key expires in 12 days",
  "error: signature server answered 503 Service Unavailable (3 attempts)",
  "",
].join("\n");

const plus = (time, millis) => new Date(Date.parse(time) + millis).toISOString();

/** The event of a step: `{id, phase}` is one of its `events`. */
export function eventAnswer(run, step, { id, phase }) {
  const time = (phase === "started" ? step.startedAt : step.endedAt) ?? "2026-11-22T13:04:00.000Z";
  const type = `dev.tekton.event.plugin.step.${phase}.v1`;
  const subject = `${run.namespace}/${run.taskRun}/${step.name}`;
  const log = phase === "started" || phase === "skipped" ? undefined : phase === "failed" ? LOG : `step ${step.name} of ${run.taskRun}\nok\n`;
  const data = {
    attempt: step.attempt,
    ...(step.cause ? { cause: step.cause } : {}),
    ...(step.exitCode === null || phase === "started" ? {} : { exitCode: step.exitCode }),
    labels: { "tekton.dev/pipelineRun": run.pipelineRun ?? "", team: "storefront" },
    ...(log === undefined ? {} : { log, logInfo: { bytes: log.length, truncated: false } }),
    pipelineRun: run.pipelineRun,
    pipelineTask: run.pipelineTask,
    podRef: { apiVersion: "v1", kind: "Pod", name: `${run.taskRun}-pod`, namespace: run.namespace },
    ...(phase === "failed" ? { reason: step.reason, redaction: { plugin: "redact-secrets", rules: { "aws-secret-access-key": 1, "github-personal-access-token": 1, "private-key": 1 }, values: 0, version: "0.1.0" } } : {}),
    step: { image: "registry.example/tools:1", name: step.name, script: "#!/bin/sh\nset -e\n./ci/run.sh\n" },
    stepIndex: step.index,
    taskRun: { apiVersion: "tekton.dev/v1", kind: "TaskRun", name: run.taskRun, namespace: run.namespace, uid: run.uid },
  };
  const attributes = { datacontenttype: "application/json", dataschema: "urn:step-observer:step-event:v1", id, partitionkey: run.uid, source: "https://cluster.example/apis/tekton.dev/v1", specversion: "1.0", subject, time, type };
  const structured = JSON.stringify({ ...attributes, data });
  const binary = JSON.stringify(data);
  const isFailed = phase === "failed";
  const entry = (millis, is, members) => ({ id, at: plus(time, millis), is, ...members });
  const history = [
    entry(42, "accepted", {
      observed: plus(time, 9), type, subject, sinks: isFailed ? ["broker", "audit", "failures"] : ["broker", "audit"],
      plugins: [
        { plugin: "redact-secrets", version: "0.1.0", digest: "6b1f0e2c9a44".repeat(5) + "0000", verdict: "kept", micros: 412, masked: isFailed ? 3 : 0 },
        { plugin: "enrich-run", version: "0.1.0", digest: "ab90".repeat(16), verdict: isFailed ? "passed by" : "kept", micros: isFailed ? 50_012 : 96, ...(isFailed ? { reason: "it took longer than 50 ms" } : {}) },
      ],
    }),
    entry(49, "delivered", { sink: "audit", attempt: 1 }),
    ...(isFailed ? [entry(51, "failed", { sink: "broker", attempt: 1, reason: "503 Service Unavailable", retryInMs: 173 }), entry(52, "delivered", { sink: "failures", attempt: 1 })] : []),
    entry(230, "delivered", { sink: "broker", attempt: isFailed ? 2 : 1 }),
  ];
  return {
    id, history, historyLeftOut: 0,
    sinks: [{ name: "broker", body: 0 }, { name: "audit", body: 1 }, ...(isFailed ? [{ name: "failures", body: 0 }] : [])],
    bodies: [
      { mode: "structured", contentType: "application/cloudevents+json", headers: [], text: structured, bytes: structured.length },
      { mode: "binary", contentType: "application/json", headers: Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]), text: binary, bytes: binary.length },
    ],
  };
}
