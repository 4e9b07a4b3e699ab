// The rows of the timeline. A row is made once and then updated in place, so that focus, selection and place stay.

import { foreign, make, makeShape, setAttribute, setForeign, setProperty, setShape, setText } from "./dom.js";
import { isNarrow, passesWithoutSteps, passingSteps } from "./filter.js";
import { lastAttempt, resultOf, spanOf, spanOfAll, stateOf } from "./model.js";
import { duration, plural } from "./text.js";

/** Steps that the strip of a group shows, one mark each. */
const MAX_MARKS = 60;
/** Of the groups that all succeeded, the first snapshot opens so many. */
const OPEN_AT_FIRST = 3;
/** Rows that page up and page down move by. */
const PAGE = 10;

export class Timeline {
  #root;
  #onOpen;
  #groups = new Map();
  #filter = { namespace: "", name: "", states: [], event: "" };
  #current = null;
  #selected = null;
  #now = 0;

  /** `onOpen(run, step)` is called for a step that is clicked, or on which Enter is pressed. */
  constructor(root, onOpen) {
    this.#root = root;
    this.#onOpen = onOpen;
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusin", ({ target }) => this.#setCurrent(target.closest(".row")));
    // A row with the focus stays although the filter excludes it. It goes when the focus does.
    root.addEventListener("focusout", ({ target }) => {
      const row = target.closest(".row");
      if (row?.view) requestAnimationFrame(() => this.#redraw(groupOf(row)));
    });
  }

  /** Draws what changed. */
  draw({ groups, runs, goneGroups, goneRuns }, now) {
    this.#now = now;
    for (const { key } of goneGroups) this.#removeGroup(key);
    for (const group of groups) {
      const view = this.#groups.get(group.key) ?? this.#addGroup(group);
      for (const [uid, run] of view.runs) {
        if (goneRuns.has(uid) && !group.runs.some((other) => other.uid === uid)) this.#removeRun(view, run);
      }
      const changed = [];
      for (const run of group.runs) {
        const known = view.runs.get(run.uid);
        if (!known || runs.has(run)) changed.push(this.#updateRun(view, run, known));
      }
      if (changed.some(({ isNew }) => isNew)) this.#place(view);
      this.#drawGroup(view, changed);
    }
    this.#ensureCurrent();
  }

  /** Draws what depends on the time alone: what runs. */
  tick(now) {
    this.#now = now;
    for (const view of this.#groups.values()) {
      if (!view.isRunning) continue;
      const running = [...view.runs.values()].filter(({ run }) => run.steps.some(({ state }) => state === "running"));
      this.#drawGroup(view, running);
    }
  }

  /** Applies another filter. */
  setFilter(filter) {
    const wasNarrow = isNarrow(this.#filter);
    this.#filter = filter;
    for (const view of this.#groups.values()) {
      // A narrow filter opens the runs that it finds, and its end gives back what was open before.
      if (wasNarrow !== isNarrow(filter)) view.choice = null;
      this.#drawGroup(view, view.runs.values());
    }
    this.#ensureCurrent();
  }

  /** How many groups are shown. */
  shown() {
    return [...this.#groups.values()].filter(({ card }) => !card.hidden).length;
  }

  /** Opens or closes all groups. */
  fold(open) {
    for (const view of this.#groups.values()) this.#setOpen(view, open);
    this.#ensureCurrent();
  }

  /** Whether most of the shown groups are open. */
  isMostlyOpen() {
    const shown = [...this.#groups.values()].filter(({ card }) => !card.hidden);
    return shown.filter((view) => this.#isOpen(view)).length * 2 > shown.length;
  }

  /** Marks the row of the open step. */
  select(run, step) {
    if (this.#selected) setAttribute(this.#selected, "aria-selected", "false");
    this.#selected = run && step ? (this.#rowOf(run, step) ?? null) : null;
    if (this.#selected) setAttribute(this.#selected, "aria-selected", "true");
  }

  /** Moves the focus to the row of a step, or else to the current row. */
  focus(run, step) {
    const row = run && step ? this.#rowOf(run, step) : null;
    const target = row && this.#isShown(row) ? row : this.#current;
    target?.focus();
  }

  clear() {
    for (const key of [...this.#groups.keys()]) this.#removeGroup(key);
  }

  #rowOf(run, step) {
    return this.#groups.get(run.group?.key)?.runs.get(run.uid)?.steps.get(step.key)?.row;
  }

  // === rows

  #addGroup(group) {
    const view = { key: group.key, group, runs: new Map(), choice: null, origin: null, isRunning: false };
    view.row = makeRow("group", 1, view);
    view.row.chevron.append(makeShape("open"));
    view.strip = make("span", { class: "strip", "aria-hidden": "true" });
    view.row.bar.replaceWith(view.strip);
    view.card = make("div", { class: "card", role: "rowgroup" }, view.row.element);
    const isLive = group.runs.some((run) => run.steps.some(({ state }) => state === "running" || state === "waiting"));
    const failed = stateOf(group.runs.flatMap(lastAttempt)) === "failed";
    view.initial = isLive || failed || this.#groups.size < OPEN_AT_FIRST || group.runs.every(({ steps }) => steps.length === 0);
    this.#groups.set(group.key, view);
    this.#root.firstElementChild.after(view.card);
    return view;
  }

  #removeGroup(key) {
    const view = this.#groups.get(key);
    if (!view) return;
    this.#groups.delete(key);
    this.#leaveRows([...view.card.children]);
    view.card.remove();
  }

  #updateRun(group, run, known) {
    const view = known ?? { run, group, steps: new Map(), row: null, isNew: true };
    view.run = run;
    group.runs.set(run.uid, view);
    if (group.group.isPipeline && !view.row) view.row = makeRow("run", 2, view);
    const keys = new Set(run.steps.map(({ key }) => key));
    for (const [key, { row }] of view.steps) {
      if (keys.has(key)) continue;
      this.#leaveRows([row]);
      row.remove();
      view.steps.delete(key);
    }
    for (const step of run.steps) {
      const old = view.steps.get(step.key);
      if (old) old.step = step;
      else {
        const parts = makeRow("step", group.group.isPipeline ? 3 : 2, view);
        parts.element.dataset.step = step.key;
        view.steps.set(step.key, { step, parts, row: parts.element });
        view.isNew = true;
      }
    }
    return view;
  }

  #removeRun(group, view) {
    group.runs.delete(view.run.uid);
    const rows = [view.row?.element, ...[...view.steps.values()].map(({ row }) => row)].filter(Boolean);
    this.#leaveRows(rows);
    for (const row of rows) row.remove();
  }

  /** Puts new rows in their place. Rows that are in place are not touched. */
  #place({ card, row, group, runs }) {
    let next = row.element.nextElementSibling;
    const put = (element) => {
      if (element === next) next = next.nextElementSibling;
      else card.insertBefore(element, next);
    };
    for (const { uid } of group.runs) {
      const view = runs.get(uid);
      if (view.row) put(view.row.element);
      for (const { key } of view.run.steps) put(view.steps.get(key).row);
      view.isNew = false;
    }
  }

  // === drawing

  #drawGroup(view, changedRuns) {
    const { group, card, row } = view;
    const steps = group.runs.flatMap((run) => run.steps);
    const last = group.runs.flatMap(lastAttempt);
    const span = spanOfAll(steps, this.#now);
    view.isRunning = span.runs;
    let changed = changedRuns;
    if (span.start !== view.origin) {
      view.origin = span.start;
      changed = view.runs.values();
    }
    setProperty(card, "--span", String(span.start === null ? 1 : Math.max(1, (span.end - span.start) / 1000)));
    for (const run of changed) this.#drawRun(view, run);
    const shown = [...view.runs.values()].some(({ shown }) => shown);
    this.#setHidden(card, !shown && !card.contains(document.activeElement));
    setShape(row.shape, stateOf(last));
    setForeign(row.name, group.name);
    setForeign(row.note, group.namespace);
    setText(row.duration, span.start === null ? "" : duration(span.end - span.start));
    setText(row.result, summary(last, group.runs));
    drawStrip(view.strip, last);
    this.#applyOpen(view);
  }

  #drawRun(group, view) {
    const { run, row, steps } = view;
    const passing = new Set(passingSteps(this.#filter, run).map(({ key }) => key));
    view.shown = passing.size > 0 || (run.steps.length === 0 && passesWithoutSteps(this.#filter, run));
    if (row) {
      const last = lastAttempt(run);
      const span = spanOfAll(run.steps, this.#now);
      this.#setHidden(row.element, !view.shown);
      setShape(row.shape, stateOf(last));
      setForeign(row.name, run.pipelineTask || run.taskRun);
      setForeign(row.note, run.pipelineTask ? run.taskRun : "");
      setText(row.duration, span.start === null ? "" : duration(span.end - span.start));
      setText(row.result, summary(last, [run]));
      drawBar(row.bar, span, group.origin, "run");
    }
    const attempts = run.steps.at(-1)?.attempt ?? 0;
    for (const { step, parts } of steps.values()) {
      const span = spanOf(step, this.#now);
      this.#setHidden(parts.element, !passing.has(step.key));
      setShape(parts.shape, step.state);
      setAttribute(parts.element, "class", `row step is-${step.state}`);
      setForeign(parts.name, step.name || `step ${step.index}`);
      setText(parts.note, attempts > 0 ? `attempt ${(step.attempt ?? 0) + 1}` : "");
      setText(parts.duration, span.start === null || span.end === null ? "" : duration(span.end - span.start));
      setForeign(parts.result, resultOf(step));
      drawBar(parts.bar, span, group.origin, step.state);
    }
  }

  #redraw(view) {
    if (this.#groups.get(view.key) === view) this.#drawGroup(view, view.runs.values());
  }

  #setHidden(element, hidden) {
    const keep = hidden && element.contains(document.activeElement);
    if (element.hidden !== (hidden && !keep)) element.hidden = hidden && !keep;
  }

  // === open and closed groups

  #isOpen(view) {
    return view.choice ?? (isNarrow(this.#filter) || view.initial);
  }

  #setOpen(view, open) {
    view.choice = open;
    if (!open && view.card.contains(document.activeElement)) view.row.element.focus();
    this.#applyOpen(view);
  }

  #applyOpen(view) {
    const open = this.#isOpen(view);
    setAttribute(view.row.element, "aria-expanded", String(open));
    view.card.classList.toggle("closed", !open);
  }

  // === focus and keys

  #isShown(row) {
    return !row.hidden && !row.parentElement.hidden && (row.classList.contains("group") || !row.parentElement.classList.contains("closed"));
  }

  #setCurrent(row) {
    if (!row?.view || row === this.#current) return;
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = row;
    row.tabIndex = 0;
  }

  #ensureCurrent() {
    if (this.#current?.isConnected && this.#isShown(this.#current)) return;
    const first = [...this.#root.querySelectorAll(".row:not(.head)")].find((row) => this.#isShown(row));
    this.#setCurrent(first ?? null);
  }

  /** If the focus is in one of these rows, moves it to a row beside them, before they are removed. */
  #leaveRows(rows) {
    const gone = new Set(rows);
    const focused = rows.find((row) => row.contains(document.activeElement));
    if (!focused) return;
    let target = focused;
    do target = this.#neighbour(target, 1); while (target && gone.has(target));
    if (!target) {
      target = focused;
      do target = this.#neighbour(target, -1); while (target && gone.has(target));
    }
    target?.focus();
  }

  /** The next shown row in a direction: 1 is down, -1 is up. */
  #neighbour(row, direction) {
    const sibling = direction > 0 ? "nextElementSibling" : "previousElementSibling";
    let at = row;
    for (;;) {
      let next = at[sibling];
      if (!next) {
        const card = at.parentElement[sibling];
        next = direction > 0 ? card?.firstElementChild : card?.lastElementChild;
      }
      if (!next?.view) return null;
      if (this.#isShown(next)) return next;
      at = next;
    }
  }

  #walk(row, direction, steps) {
    let at = row;
    for (let left = steps; left > 0; left -= 1) {
      const next = this.#neighbour(at, direction);
      if (!next) break;
      at = next;
    }
    return at;
  }

  #click({ target }) {
    const row = target.closest(".row");
    if (row?.view) {
      row.focus({ preventScroll: true });
      this.#activate(row);
    }
  }

  #activate(row) {
    if (row.classList.contains("group")) this.#setOpen(row.view, !this.#isOpen(row.view));
    else if (row.dataset.step) this.#onOpen(row.view.run, row.view.steps.get(row.dataset.step).step);
  }

  #key(event) {
    const row = event.target.closest(".row");
    if (!row?.view || event.altKey || event.ctrlKey || event.metaKey) return;
    const isGroup = row.classList.contains("group");
    const group = groupOf(row);
    const moves = {
      ArrowDown: () => this.#walk(row, 1, 1),
      ArrowUp: () => this.#walk(row, -1, 1),
      PageDown: () => this.#walk(row, 1, PAGE),
      PageUp: () => this.#walk(row, -1, PAGE),
      Home: () => this.#walk(row, -1, Infinity),
      End: () => this.#walk(row, 1, Infinity),
      ArrowRight: () => {
        if (!isGroup) return row;
        if (this.#isOpen(group)) return this.#walk(row, 1, 1);
        this.#setOpen(group, true);
        return row;
      },
      ArrowLeft: () => {
        if (isGroup) this.#setOpen(group, false);
        return group.row.element;
      },
    };
    if (event.key === "Enter" || event.key === " ") this.#activate(row);
    else if (moves[event.key]) moves[event.key]().focus();
    else return;
    event.preventDefault();
  }
}

/** The view of the group of a row. The row of a group has it itself; other rows have the view of their run. */
const groupOf = (row) => (row.classList.contains("group") ? row.view : row.view.group);

/** Makes a row; `view` is what it shows. */
function makeRow(kind, level, view) {
  const chevron = make("span", { class: "chevron" });
  const [shape, name, note] = [makeShape("waiting"), foreign("", "span", { class: "name" }), foreign("", "span", { class: "note" })];
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  const time = make("div", { class: "duration", role: "gridcell" });
  const result = make("div", { class: "result", role: "gridcell" });
  const element = make(
    "div",
    { class: `row ${kind}`, role: "row", "aria-level": String(level), tabindex: "-1" },
    make("div", { class: "title", role: "gridcell" }, chevron, shape, name, note),
    make("div", { class: "track", role: "gridcell" }, bar),
    time,
    result,
  );
  element.view = view;
  return { element, chevron, shape, name, note, bar, duration: time, result };
}

/** Places a bar. Its track computes the position from these seconds, so that a growing span touches no row. */
function drawBar(bar, { start, end }, origin, kind) {
  const shown = start !== null && origin !== null;
  if (bar.hidden === shown) bar.hidden = !shown;
  setAttribute(bar, "class", `bar b-${kind}`);
  if (!shown) return;
  setProperty(bar, "--start", ((start - origin) / 1000).toFixed(3));
  setProperty(bar, "--length", (Math.max(0, (end ?? start) - start) / 1000).toFixed(3));
}

/** One mark per step. Beyond the bound, the rest has no mark: the result says how many steps there are. */
function drawStrip(strip, steps) {
  const shown = Math.min(steps.length, MAX_MARKS);
  while (strip.children.length > shown) strip.lastElementChild.remove();
  while (strip.children.length < shown) strip.append(make("i"));
  for (let at = 0; at < shown; at += 1) setAttribute(strip.children[at], "class", `m-${steps[at].state}`);
}

function summary(steps, runs) {
  const state = stateOf(steps);
  const ended = steps.filter((step) => step.state !== "waiting" && step.state !== "running").length;
  const words = [steps.length ? state : "no step yet"];
  if (steps.length) words.push(ended < steps.length ? `${ended} of ${plural(steps.length, "step")}` : plural(steps.length, "step"));
  const leftOut = runs.reduce((sum, run) => sum + (run.stepsLeftOut || 0), 0);
  if (leftOut) words.push(`${leftOut} more not shown`);
  if (runs.every(({ deleted }) => deleted)) words.push("deleted");
  return words.join(" \u00b7 ");
}
