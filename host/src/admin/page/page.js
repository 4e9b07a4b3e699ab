// Connects the stream, the table, and what is drawn of it.

import { Detail } from "./detail.js";
import { byId, foreign, make, makeShape, setAttribute, setHidden, setShape, setText } from "./dom.js";
import { formatFragment, parseFragment } from "./filter.js";
import { drawHealth } from "./health.js";
import { STATES, Table } from "./model.js";
import { Stream, refusal } from "./stream.js";
import { Timeline } from "./timeline.js";
import { clock, plural, time } from "./text.js";

/** Interval at which the durations of what runs are drawn again. */
const TICK_MS = 1000;
/** Below this width the panel covers the page (the same width is in page.css). */
const NARROW = matchMedia("(max-width: 60rem)");

const CONNECTIONS = {
  connecting: ["waiting", "Connecting"],
  live: ["succeeded", "Live"],
  reconnecting: ["attention", "Reconnecting"],
  paused: ["skipped", "Paused"],
  signIn: ["attention", "Sign-in needed"],
  refused: ["failed", "Refused"],
};

let table = new Table();
let filter = parseFragment(location.hash);
let process = null;
let clockOffset = 0;
let connection = "connecting";
let isPaused = false;
let pending = null;
let status = null;
let frame = 0;
/** The event of the fragment is opened once, when the first snapshot is there. */
let eventToOpen = filter.event;

const timeline = new Timeline(byId("timeline"), (run, step) => openStep(run, step, null));
const detail = new Detail({
  event: (id) => {
    filter.event = id;
    writeFragment();
  },
  close: (run, step) => {
    layOut();
    timeline.select(null, null);
    timeline.focus(run, step);
  },
  signIn: () => {
    stream.forget();
    onState("signIn", "");
  },
});
const stream = new Stream("page/stream", { message: onMessage, state: onState });

/** The observer's time, in milliseconds. While the page is paused, time stands still. */
let stoppedAt = null;
const now = () => stoppedAt ?? Date.now() + clockOffset;

// === what arrives

function onMessage(event, data) {
  const at = time(data.now);
  if (at !== null) clockOffset = at - Date.now();
  if (event === "snapshot") onSnapshot(data);
  else if (event === "change") addChanges(table.change(data));
  else if (event === "status") status = data;
  else return;
  schedule();
}

function onSnapshot(data) {
  const isRestart = process !== null && process !== data.process;
  if (isRestart) {
    const hadFocus = document.activeElement !== document.body;
    forgetRuns();
    const since = time(data.startedAt);
    setText(byId("restarted-text"), `The observer restarted${since === null ? "" : ` at ${clock(since)}`}. The page begins anew.`);
    byId("restarted").hidden = false;
    if (hadFocus && document.activeElement === document.body) byId("restarted-close").focus();
  }
  process = data.process;
  byId("sign-out").hidden = data.session !== true;
  addChanges(table.snapshot(data));
}

/** Adds to what the next frame draws. */
function addChanges(changes) {
  if (!pending) {
    pending = changes;
    return;
  }
  for (const group of changes.goneGroups) pending.groups.delete(group);
  for (const group of changes.groups) pending.goneGroups.delete(group);
  for (const name of ["groups", "runs", "goneGroups", "goneRuns"]) {
    for (const entry of changes[name]) pending[name].add(entry);
  }
}

function onState(state, text) {
  connection = state;
  const [shape, word] = CONNECTIONS[state];
  setText(byId("connection"), word);
  setAttribute(byId("connection").parentElement, "data-state", state);
  setShape(byId("connection").previousElementSibling, shape);
  const note = state === "reconnecting" ? text || "The observer does not answer. What you see may be old." : "";
  setText(byId("connection-note"), note);
  if (state === "signIn" || state === "refused") forgetData();
  byId("sign-in").hidden = state !== "signIn";
  byId("refused").hidden = state !== "refused";
  byId("refused-text").replaceChildren(foreign(state === "refused" ? text : ""));
  if (state === "live") byId("data").hidden = false;
  setHidden(byId("pause"), state === "signIn" || state === "refused");
  if (state === "signIn" && document.activeElement === document.body) byId("token").focus();
}

// === what is forgotten

function forgetRuns() {
  table = new Table();
  pending = null;
  detail.clear();
  timeline.clear();
  layOut();
}

function forgetData() {
  forgetRuns();
  drawHealth({});
  [process, status] = [null, null];
  byId("data").hidden = true;
  byId("restarted").hidden = true;
  byId("sign-out").hidden = true;
}

// === what is drawn

function schedule() {
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const at = now();
  if (status) drawHealth(status);
  status = null;
  if (!pending) return;
  timeline.draw(pending, at);
  pending = null;
  detail.update(at);
  drawFilter();
  if (eventToOpen) {
    const found = table.stepOfEvent(eventToOpen);
    openStep(found?.run ?? null, found?.step ?? null, eventToOpen);
  }
}

function drawFilter() {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  const namespaces = new Set(filter.namespace ? [filter.namespace] : []);
  for (const run of table.runs.values()) {
    namespaces.add(run.namespace);
    if (filter.namespace && run.namespace !== filter.namespace) continue;
    for (const { state } of run.steps) counts[state] += 1;
  }
  for (const state of STATES) setText(byId(`count-${state}`), String(counts[state]));
  const select = byId("filter-namespace");
  const names = [...namespaces].sort();
  if (select.dataset.names !== JSON.stringify(names)) {
    select.dataset.names = JSON.stringify(names);
    select.replaceChildren(make("option", { value: "" }, "All"), ...names.map((name) => foreign(name, "option", { value: name })));
    select.value = filter.namespace;
  }
  const isEmpty = timeline.isEmpty();
  setText(byId("empty"), !isEmpty ? "" : table.runs.size ? `No run passes the filter. ${plural(table.runs.size, "TaskRun")} are hidden.` : "No run yet. Runs of the last minutes appear here as soon as their pods start.");
  setHidden(byId("empty"), !isEmpty);
  setText(byId("fold"), timeline.isMostlyOpen() ? "Collapse all" : "Expand all");
}

function openStep(run, step, eventId) {
  eventToOpen = "";
  detail.open(run, step, eventId, now());
  timeline.select(run, step);
  layOut();
}

/** On a narrow screen the panel covers the page, so what is below it takes no focus. */
function layOut() {
  const isOpen = detail.isOpen;
  byId("columns").classList.toggle("with-detail", isOpen);
  const covered = isOpen && NARROW.matches;
  document.body.classList.toggle("covered", covered);
  for (const element of document.querySelectorAll(".top, .health, .filter, .runs, .banner, .notice")) element.inert = covered;
}

// === what people do

function applyFilter() {
  timeline.setFilter(filter);
  drawFilter();
}

function writeFragment() {
  const fragment = formatFragment(filter);
  if (fragment !== location.hash) history.replaceState(null, "", fragment || location.pathname + location.search);
}

function showFilter() {
  byId("filter-name").value = filter.name;
  byId("filter-namespace").value = filter.namespace;
  for (const state of STATES) byId(`filter-${state}`).checked = filter.states.includes(state);
}

function readFilter() {
  filter.name = byId("filter-name").value;
  filter.namespace = byId("filter-namespace").value;
  filter.states = STATES.filter((state) => byId(`filter-${state}`).checked);
  writeFragment();
  applyFilter();
}

/** The stream is open unless nobody sees the page. A browser has few connections per host. */
function openOrClose() {
  const wants = !document.hidden && !isPaused && connection !== "signIn";
  stoppedAt = isPaused ? (stoppedAt ?? now()) : null;
  if (wants) stream.open();
  else stream.close();
  if (isPaused && connection !== "signIn" && connection !== "refused") {
    onState("paused", "");
    setText(byId("connection-note"), `since ${clock(now())}`);
  } else if (wants && connection === "paused") onState("connecting", "");
}

async function signIn(event) {
  event.preventDefault();
  const field = byId("token");
  const problem = byId("sign-in-problem");
  const body = new URLSearchParams({ token: field.value });
  field.value = "";
  let text = "The observer does not answer.";
  try {
    const response = await fetch("session", { method: "POST", body, cache: "no-store", redirect: "error" });
    text = response.ok ? "" : (await refusal(response)) || "The observer refuses this token.";
  } catch {
    // The text says it.
  }
  problem.replaceChildren(foreign(text));
  setAttribute(field, "aria-invalid", text ? "true" : null);
  if (text) return void field.focus();
  onState("connecting", "");
  openOrClose();
}

async function signOut() {
  stream.forget();
  await fetch("session", { method: "DELETE", cache: "no-store", redirect: "error" }).catch(() => {});
  onState("signIn", "");
}

function start() {
  for (const state of STATES) {
    const box = make("input", { type: "checkbox", id: `filter-${state}` });
    byId("filter-states").append(make("label", { class: `state s-${state}` }, box, makeShape(state), make("span", {}, state), make("span", { class: "count", id: `count-${state}` }, "0")));
  }
  showFilter();
  timeline.setFilter(filter);
  byId("filter").addEventListener("input", readFilter);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("fold").addEventListener("click", () => {
    timeline.fold(!timeline.isMostlyOpen());
    drawFilter();
  });
  byId("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    setAttribute(byId("pause"), "aria-pressed", String(isPaused));
    openOrClose();
  });
  byId("sign-in-form").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", signOut);
  byId("restarted-close").addEventListener("click", () => {
    byId("restarted").hidden = true;
    timeline.focus(null, null);
  });
  addEventListener("hashchange", () => {
    const { event } = filter;
    filter = parseFragment(location.hash);
    [eventToOpen, filter.event] = [filter.event === event ? "" : filter.event, event];
    showFilter();
    applyFilter();
    pending ??= table.change({});
    schedule();
  });
  document.addEventListener("visibilitychange", openOrClose);
  NARROW.addEventListener("change", layOut);
  setInterval(() => {
    if (document.hidden || connection !== "live") return;
    timeline.tick(now());
    detail.update(now());
  }, TICK_MS);
  openOrClose();
}

start();
