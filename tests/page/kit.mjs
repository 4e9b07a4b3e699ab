// What the checks with the mock share.

import { TIMEOUT_MS, check } from "./browser.mjs";
import { at } from "./scenario.mjs";

/** Waits for a condition of the mock. It changes only by requests, so each turn of the loop lets them come. */
export async function until(what, condition) {
  const end = Date.now() + TIMEOUT_MS;
  while (!condition()) {
    check(Date.now() < end, `${what}: it did not happen`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A TaskRun without a PipelineRun, of one step. */
export const row = (name, state) => ({
  uid: `added-${name}`, namespace: "ci", taskRun: `added-${name}`,
  steps: [{ key: "0", attempt: 0, index: 0, name, state, startedAt: at(60), exitCode: null, reason: null, events: [], ...(state === "running" ? {} : { endedAt: at(64), exitCode: 0 }) }],
});
/** In the page: whether a step is there, with a result that begins so. */
export const resultIs = ([name, start]) => [...document.querySelectorAll(".row.step")].some((one) => one.querySelector(".name").textContent === name && one.querySelector(".result").textContent.startsWith(start));
