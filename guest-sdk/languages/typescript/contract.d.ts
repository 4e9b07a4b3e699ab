// The contract (plugin.wit) as componentize-qjs shows it to a plugin. plugin.wit says what each part means.
//
// Names are in camelCase. An option is its value or null. A variant is {tag, val}, an enum its name. A list
// of bytes is a Uint8Array. All numbers are numbers: where plugin.wit has 64 bits, a bigint ends the call.

// === interface events ===

export interface Header {
  id: string;
  source: string;
  type: string;
  subject: string | null;
  time: string | null;
  datacontenttype: string | null;
}

export type Phase = "started" | "succeeded" | "failed" | "skipped";

export interface Step {
  namespace: string;
  pipelineRun: string | null;
  pipelineTask: string | null;
  taskRun: string;
  name: string;
  index: number;
  attempt: number;
  pod: string;
  container: string;
  image: string | null;
  phase: Phase;
  exitCode: number | null;
  reason: string | null;
  startedAt: string | null;
  finishedAt: string | null;
}

export interface LogEdit {
  start: number;
  end: number;
  text: string;
}

export type EditError =
  | { tag: "read-only"; val: string }
  | { tag: "invalid"; val: string }
  | { tag: "too-large" };

/** What a function of an event throws. */
export interface Refused extends Error {
  payload: EditError;
}

export type Scope = "log" | "everything";

export interface Redaction {
  rule: string;
  count: number;
}

/** Valid until `process` returns. */
export interface Event {
  header(): Header;
  step(): Step;
  attribute(name: string): string | null;
  setAttribute(name: string, value: string | null): void;
  extensions(): [string, string][];
  dataJson(): string;
  get(pointer: string): string | null;
  set(pointer: string, json: string | null): void;
  label(name: string): string | null;
  annotation(name: string): string | null;
  logSize(): number;
  log(): string;
  readLog(offset: number, length: number): Uint8Array;
  setLog(text: string): void;
  editLog(edits: LogEdit[]): void;
  redact(rules: string, scope: Scope): Redaction[];
}

// === interface transform ===

export interface Rule {
  id: string;
  pattern: string;
  keywords: string[];
  replacement: string | null;
}

export interface RuleSet {
  name: string;
  rules: Rule[];
  values: string[];
}

export interface Setup {
  name: string;
  version: string;
  ruleSets: RuleSet[];
}

export type Verdict = { tag: "keep" } | { tag: "drop"; val: string };

/** What a plugin exports as `transform`. Both functions throw a string to fail. */
export interface Transform {
  configure(config: string): Setup;
  process(event: Event): Verdict;
}
