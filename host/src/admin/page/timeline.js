// The rows of the timeline. A row is made once and then updated in place, so that focus, selection and place stay.

import { foreign, make, makeShape, setAttribute, setForeign, setHidden, setProperty, setShape, setText } from "./dom.js";
import { isNarrow, passesWithoutSteps, passingSteps } from "./filter.js";
import { lastAttempt, resultOf, spanOf, spanOfAll, stateOf } from "./model.js";
import { duration, plural } from "./text.js";

/** Steps that the strip of a group shows, one mark each. */
const MAX_MARKS = 60;
/** Of the groups in which all has succeeded, the first snapshot opens so many. */
const OPEN_AT_FIRST = 3;
/** Rows that page up and page down move by. */
const PAGE = 10;

export class Timeline {
  #root;
  #onOpen;
  /** By key: `{group, card, row, strip, runs, choice, initial, origin, isRunning}`. `runs` by UID: `{run, group, row, steps, shown}`. */
  #groups = new Map();
  #filter = { namespace: "", name: "", states: [] };
  /** The row that Tab reaches, and the row of the open step. */
  #current = null;
  #selected = null;
  #now = 0;

  /** `onOpen(run, step)` is called for a step that is clicked, or on which Enter is pressed. */
  constructor(root, onOpen) {
    this.#root = root;
    this.#onOpen = onOpen;
    const rowOf = ({ target }) => target.closest(".row[tabindex]");
    root.addEventListener("keydown", (event) => this.#key(event, rowOf(event)));
    root.addEventListener("focusin", (event) => rowOf(event) && this.#setCurrent(rowOf(event)));
    root.addEventListener("click", (event) => {
      const row = rowOf(event);
      row?.focus({ preventScroll: true });
      if (row) this.#activate(row);
    });
    // A row with the focus stays although the filter excludes it. It goes when the focus does.
    root.addEventListener("focusout", (event) => {
      const group = rowOf(event)?.of.group;
      requestAnimationFrame(() => group && this.#groups.get(group.key) === group && this.#drawGroup(group, group.runs.values()));
    });
  }

  /** Draws what changed in the table. */
  draw({ groups, runs, goneGroups, goneRuns }, now) {
    this.#now = now;
    for (const { key } of goneGroups) this.#removeGroup(key);
    for (const group of groups) {
      const view = this.#groups.get(group.key) ?? this.#addGroup(group);
      for (const [uid, run] of view.runs) {
        if (!goneRuns.has(uid) || group.runs.some((other) => other.uid === uid)) continue;
        view.runs.delete(uid);
        this.#remove([run.row?.element, ...[...run.steps.values()].map(({ element }) => element)].filter(Boolean));
      }
      const changed = group.runs.filter((run) => runs.has(run) || !view.runs.has(run.uid)).map((run) => this.#updateRun(view, run));
      this.#place(view);
      this.#drawGroup(view, changed);
    }
    this.#ensureCurrent();
  }

  /** Draws what depends on the time alone: what runs. */
  tick(now) {
    this.#now = now;
    for (const view of this.#groups.values()) {
      const runs = [...view.runs.values()].filter(({ run }) => run.steps.some(({ state }) => state === "running"));
      if (view.isRunning) this.#drawGroup(view, runs);
    }
  }

  setFilter(filter) {
    const changes = isNarrow(this.#filter) !== isNarrow(filter);
    this.#filter = { ...filter };
    for (const view of this.#groups.values()) {
      // A narrow filter opens the runs that it finds, and its end gives back what was open before.
      if (changes) view.choice = null;
      this.#drawGroup(view, view.runs.values());
    }
    this.#ensureCurrent();
  }

  /** The groups that the filter shows. */
  #shown() {
    return [...this.#groups.values()].filter(({ card }) => !card.hidden);
  }

  isEmpty() {
    return this.#shown().length === 0;
  }

  /** Whether most of the shown groups are open. */
  isMostlyOpen() {
    const shown = this.#shown();
    return shown.filter((view) => this.#isOpen(view)).length * 2 > shown.length;
  }

  /** Opens or closes all groups. */
  fold(open) {
    for (const view of this.#groups.values()) this.#setOpen(view, open);
    this.#ensureCurrent();
  }

  /** Marks the row of the open step; no step means none. */
  select(run, step) {
    if (this.#selected) setAttribute(this.#selected, "aria-selected", null);
    this.#selected = this.#find(run, step);
    if (this.#selected) setAttribute(this.#selected, "aria-selected", "true");
  }

  /** Moves the focus to the row of a step, or else to the current row. */
  focus(run, step) {
    const row = this.#find(run, step);
    (row && this.#isShown(row) ? row : this.#current)?.focus();
  }

  clear() {
    for (const key of [...this.#groups.keys()]) this.#removeGroup(key);
  }

  #find(run, step) {
    return this.#groups.get(run?.group?.key)?.runs.get(run.uid)?.steps.get(step.key)?.element ?? null;
  }

  // === rows

  #addGroup(group) {
    const view = { key: group.key, group, runs: new Map(), choice: null, origin: null, isRunning: false };
    view.row = makeRow("group", 1, { group: view });
    view.row.chevron.append(makeShape("open"));
    view.strip = make("span", { class: "strip", "aria-hidden": "true" });
    view.row.bar.replaceWith(view.strip);
    view.card = make("div", { class: "card", role: "rowgroup" }, view.row.element);
    view.initial = this.#groups.size < OPEN_AT_FIRST || stateOf(group.runs.flatMap(lastAttempt)) !== "succeeded";
    this.#groups.set(group.key, view);
    this.#root.firstElementChild.after(view.card);
    return view;
  }

  #removeGroup(key) {
    const view = this.#groups.get(key);
    if (!view) return;
    this.#groups.delete(key);
    this.#remove([...view.card.children]);
    view.card.remove();
  }

  #updateRun(group, run) {
    const view = group.runs.get(run.uid) ?? { group, row: null, steps: new Map(), shown: false };
    view.run = run;
    group.runs.set(run.uid, view);
    const { isPipeline } = group.group;
    if (isPipeline) view.row ??= makeRow("run", 2, view);
    const keys = new Set(run.steps.map(({ key }) => key));
    for (const [key, { element }] of view.steps) {
      if (keys.has(key)) continue;
      this.#remove([element]);
      view.steps.delete(key);
    }
    for (const { key } of run.steps) {
      if (view.steps.has(key)) continue;
      view.steps.set(key, makeRow("step", isPipeline ? 3 : 2, view));
      view.steps.get(key).element.dataset.step = key;
    }
    return view;
  }

  /** Puts new rows in their place. Rows that are in place are not touched. */
  #place({ card, row, group, runs }) {
    let next = row.element.nextElementSibling;
    const put = ({ element }) => {
      if (element === next) next = next.nextElementSibling;
      else card.insertBefore(element, next);
    };
    for (const { uid, steps } of group.runs) {
      const view = runs.get(uid);
      if (view.row) put(view.row);
      for (const { key } of steps) put(view.steps.get(key));
    }
  }

  // === drawing

  #drawGroup(view, changed) {
    const { group, card, row } = view;
    const span = spanOfAll(group.runs.flatMap(({ steps }) => steps), this.#now);
    const steps = group.runs.flatMap(lastAttempt);
    view.isRunning = span.runs;
    // All bars begin at the start of the group: another start moves each of them.
    const moved = span.start !== view.origin;
    view.origin = span.start;
    setProperty(card, "--span", span.start === null ? 1 : Math.max(1, (span.end - span.start) / 1000));
    for (const run of moved ? view.runs.values() : changed) this.#drawRun(view, run);
    hideUnlessFocused(card, ![...view.runs.values()].some(({ shown }) => shown));
    drawRow(row, { state: stateOf(steps), name: group.name, note: group.namespace, span, result: summary(steps, group.runs) });
    drawStrip(view.strip, steps);
    this.#drawOpen(view);
  }

  #drawRun({ origin }, view) {
    const { run, row } = view;
    const passing = new Set(passingSteps(this.#filter, run).map(({ key }) => key));
    view.shown = passing.size > 0 || (run.steps.length === 0 && passesWithoutSteps(this.#filter, run));
    if (row) {
      const [steps, span] = [lastAttempt(run), spanOfAll(run.steps, this.#now)];
      hideUnlessFocused(row.element, !view.shown);
      drawRow(row, { state: stateOf(steps), name: run.pipelineTask || run.taskRun, note: run.pipelineTask ? run.taskRun : "", span, result: summary(steps, [run]) });
      drawBar(row.bar, span, origin);
    }
    const isRetried = (run.steps.at(-1)?.attempt ?? 0) > 0;
    for (const step of run.steps) {
      const [parts, span] = [view.steps.get(step.key), spanOf(step, this.#now)];
      hideUnlessFocused(parts.element, !passing.has(step.key));
      setAttribute(parts.element, "class", `row step is-${step.state}`);
      drawRow(parts, { state: step.state, name: step.name || `step ${step.index}`, note: isRetried ? `attempt ${(step.attempt ?? 0) + 1}` : "", span, result: resultOf(step) });
      drawBar(parts.bar, span, origin);
    }
  }

  // === open and closed groups

  #isOpen(view) {
    return view.choice ?? (isNarrow(this.#filter) || view.initial);
  }

  #setOpen(view, open) {
    view.choice = open;
    if (!open && view.card.contains(document.activeElement)) view.row.element.focus();
    this.#drawOpen(view);
  }

  #drawOpen(view) {
    const open = this.#isOpen(view);
    setAttribute(view.row.element, "aria-expanded", open);
    view.card.classList.toggle("closed", !open);
  }

  // === focus and keys

  #isShown(row) {
    const card = row.parentElement;
    return !row.hidden && !card.hidden && (row.of.group.row.element === row || !card.classList.contains("closed"));
  }

  #rows() {
    return [...this.#root.querySelectorAll(".row[tabindex]")].filter((row) => this.#isShown(row));
  }

  #setCurrent(row) {
    if (row === this.#current) return;
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = row;
    if (row) row.tabIndex = 0;
  }

  #ensureCurrent() {
    if (!this.#current?.isConnected || !this.#isShown(this.#current)) this.#setCurrent(this.#rows()[0] ?? null);
  }

  /** Removes rows. If one of them has the focus, it goes to the next row that stays, else to the one before. */
  #remove(rows) {
    const focused = rows.find((row) => row.contains(document.activeElement));
    if (focused) {
      const shown = this.#rows();
      const at = shown.indexOf(focused);
      const stays = (row) => !rows.includes(row);
      (shown.slice(at).find(stays) ?? shown.slice(0, at).findLast(stays))?.focus();
    }
    for (const row of rows) row.remove();
  }

  #activate(row) {
    const { run, group } = row.of;
    if (group.row.element === row) this.#setOpen(group, !this.#isOpen(group));
    else if (row.dataset.step !== undefined) this.#onOpen(run, run.steps.find(({ key }) => String(key) === row.dataset.step));
  }

  #key(event, row) {
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const { group } = row.of;
    const isGroup = group.row.element === row;
    const wasOpen = this.#isOpen(group);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE, Home: -Infinity, End: Infinity, ArrowRight: isGroup && wasOpen ? 1 : 0, ArrowLeft: 0 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.#activate(row);
    else if (steps === undefined) return;
    else if (event.key === "ArrowLeft" && !isGroup) group.row.element.focus();
    else {
      if (isGroup && event.key === "ArrowLeft") this.#setOpen(group, false);
      if (isGroup && event.key === "ArrowRight") this.#setOpen(group, true);
      const rows = this.#rows();
      rows[Math.min(rows.length - 1, Math.max(0, rows.indexOf(row) + steps))]?.focus();
    }
    event.preventDefault();
  }
}

/** Makes a row. `of` says what it shows: the views of its group and, for other rows than that of a group, of its run. */
function makeRow(kind, level, of) {
  const chevron = make("span", { class: "chevron" });
  const shape = makeShape("waiting");
  const [name, note] = [foreign("", "span", { class: "name" }), foreign("", "span", { class: "note" })];
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  const time = make("div", { class: "duration", role: "gridcell" });
  const result = make("div", { class: "result", role: "gridcell" });
  const title = make("div", { class: "title", role: "gridcell" }, chevron, shape, name, note);
  const track = make("div", { class: "track", role: "gridcell" }, bar);
  const element = make("div", { class: `row ${kind}`, role: "row", "aria-level": level, tabindex: -1 }, title, track, time, result);
  element.of = of;
  return { element, chevron, shape, name, note, bar, time, result };
}

function drawRow(parts, { state, name, note, span, result }) {
  setShape(parts.shape, state);
  setForeign(parts.name, name);
  setForeign(parts.note, note);
  setText(parts.time, span.start === null || span.end === null ? "" : duration(span.end - span.start));
  setForeign(parts.result, result);
}

/** Places a bar. CSS computes its position from these seconds, so that a growing span touches no row. */
function drawBar(bar, { start, end }, origin) {
  setHidden(bar, start === null);
  if (start === null) return;
  setProperty(bar, "--start", ((start - origin) / 1000).toFixed(3));
  setProperty(bar, "--length", (Math.max(0, (end ?? start) - start) / 1000).toFixed(3));
}

/** One mark per step. Beyond the bound, the rest has no mark: the result says how many steps there are. */
function drawStrip(strip, steps) {
  const shown = steps.slice(0, MAX_MARKS);
  while (strip.children.length > shown.length) strip.lastElementChild.remove();
  while (strip.children.length < shown.length) strip.append(make("i"));
  shown.forEach(({ state }, at) => setAttribute(strip.children[at], "class", `m-${state}`));
}

const hideUnlessFocused = (element, hidden) => setHidden(element, hidden && !element.contains(document.activeElement));

function summary(steps, runs) {
  if (steps.length === 0) return "no step yet";
  const ended = steps.filter(({ state }) => state !== "waiting" && state !== "running").length;
  const words = [stateOf(steps), (ended < steps.length ? `${ended} of ` : "") + plural(steps.length, "step")];
  const leftOut = runs.reduce((sum, run) => sum + (run.stepsLeftOut || 0), 0);
  if (leftOut) words.push(`${leftOut} more not shown`);
  if (runs.every(({ deleted }) => deleted)) words.push("deleted");
  return words.join(" \u00b7 ");
}
