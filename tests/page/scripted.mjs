// Checks that depend on what the mock plays.

import { Tab, check, equal } from "./browser.mjs";
import { expandAll } from "./any-server.mjs";
import { row, resultIs } from "./kit.mjs";
import { Mock } from "./mock.mjs";
import { HOSTILE, at, eventId, hostileAnswer, hostileRuns, manyRuns } from "./scenario.mjs";

export const SCRIPTED = {
  async it_updates_live_and_in_place({ tab, mock }) {
    await tab.step("run-tests", "running").focus();
    await tab.page.evaluate(() => (document.activeElement.isTheSame = true));
    mock.playTo(262);
    await tab.until("run-tests succeeds", resultIs, ["run-tests", "succeeded"]);
    await tab.until("stop-services succeeds", resultIs, ["stop-services", "succeeded"]);
    equal(await tab.page.evaluate(() => [document.activeElement.isTheSame, document.activeElement.querySelector(".duration").textContent]), [true, "3 m 20 s"], "the focused row");
    await tab.checkAccessible("after changes");
  },

  async durations_of_running_steps_grow({ tab, mock }) {
    mock.change({ runs: [row("grows", "running")] });
    await tab.until("the step is there", resultIs, ["grows", "running"]);
    const text = () => [...document.querySelectorAll(".row.step")].find((one) => one.querySelector(".name").textContent === "grows").querySelector(".duration").textContent;
    const before = await tab.page.evaluate(text);
    await tab.page.waitForFunction((old) => [...document.querySelectorAll(".row.step")].find((one) => one.querySelector(".name").textContent === "grows").querySelector(".duration").textContent !== old, before);
  },

  async only_changed_rows_are_drawn({ tab, mock }) {
    await tab.page.evaluate(() => {
      window.touched = new Set();
      window.draws = 0;
      window.watcher = new MutationObserver((records) => {
        for (const { target, attributeName } of records) {
          if (attributeName === "class" && target.matches(".step")) window.draws += 1;
          window.touched.add((target.nodeType === 3 ? target.parentElement : target).closest(".row")?.querySelector(".name")?.textContent ?? target.className);
        }
      });
      window.watcher.observe(document.getElementById("timeline"), { subtree: true, childList: true, characterData: true, attributes: true });
    });
    const { uid, steps } = [...mock.runs.values()].find(({ taskRun }) => taskRun === "shop-web-8-integration");
    const step = steps.at(-1);
    mock.change({ runs: [row("grows", "succeeded"), { uid, steps: [{ ...step, state: "failed", exitCode: 3 }] }] });
    await tab.until("the step ends", resultIs, ["grows", "succeeded"]);
    await tab.until("the other step fails", resultIs, ["stop-services", "failed \u00b7 exit 3"]);
    const touched = await tab.page.evaluate(() => [...window.touched]);
    // The rows above a step sum it up. No other step runs at this second, so time alone changes no row.
    const changed = ["grows", "added-grows", "stop-services", "integration", "shop-web-8"];
    equal(changed.filter((name) => !touched.includes(name)), [], "rows that changed and were not drawn");
    equal(touched.filter((name) => ![...changed, "card"].includes(name)), [], "rows that were drawn without a change");
    mock.change({ runs: [{ uid, steps: [step] }] });
    await tab.until("the other step is as it was", resultIs, ["stop-services", "succeeded"]);
  },

  async many_changes_are_drawn_together({ tab, mock }) {
    await tab.page.evaluate(() => (window.draws = 0));
    for (let count = 0; count < 300; count += 1) mock.change({ runs: [row("grows", count % 2 ? "running" : "succeeded")] });
    mock.change({ runs: [row("last", "running")] });
    await tab.until("the last change is shown", resultIs, ["last", "running"]);
    const draws = await tab.page.evaluate(() => {
      window.watcher.disconnect();
      return window.draws;
    });
    check(draws <= 60, `a row that changed 300 times was drawn ${draws} times`);
    mock.change({ gone: ["added-grows", "added-last"] });
    return `300 changes in ${draws} drawings`;
  },

  async a_focus_on_a_row_that_goes_moves_to_its_neighbour({ tab, mock }) {
    mock.change({ runs: [row("below", "running")] });
    mock.change({ runs: [row("above", "running")] });
    await tab.until("the step is there", resultIs, ["above", "running"]);
    await tab.step("above").focus();
    mock.change({ gone: ["added-above"] });
    await tab.until("the row is gone", () => ![...document.querySelectorAll(".name")].some((name) => name.textContent === "above"));
    equal(await tab.focus(), "added-below", "focus after its row went");
    await tab.page.keyboard.press("ArrowDown");
    equal(await tab.focus(), "below", "focus after the down arrow");
  },

  async a_row_with_the_focus_stays_although_the_filter_excludes_it_now({ tab, mock }) {
    await tab.page.check("#filter-running", { force: true });
    await tab.step("below").focus();
    mock.change({ runs: [row("below", "succeeded")] });
    await tab.until("the step ends", resultIs, ["below", "succeeded"]);
    equal(await tab.focus(), "below", "focus after its row changed");
    await tab.page.focus("#filter-name");
    await tab.until("the row is hidden", () => ![...document.querySelectorAll(".name")].some((name) => name.textContent === "below" && name.checkVisibility()));
    await tab.page.uncheck("#filter-running", { force: true });
    mock.change({ gone: ["added-below"] });
  },

  async an_event_shows_its_way_its_log_and_its_bodies({ tab }) {
    await expandAll(tab);
    await tab.step("sign", "failed").click();
    await tab.until("the event is shown", () => document.querySelector("#detail pre"));
    const panel = await tab.page.textContent("#detail");
    for (const text of ["redact-secrets kept", "412 µs", "3 masked", "passed by", "it took longer than 50 ms", "attempt 1 failed", "503 Service Unavailable", "attempt 2 delivered"]) {
      check(panel.includes(text), `the panel does not say "${text}"`);
    }
    equal(await tab.page.$$eval("pre.log mark", (all) => all.map((one) => one.textContent)), ["[redacted:github-personal-access-token]", "[redacted:aws-secret-access-key]", "[redacted:private-key]"], "marks in the log");
    equal(await tab.page.$$eval("[role=tab]", (all) => all.map((one) => one.textContent)), ["broker", "audit", "failures"], "tabs");
    check(JSON.parse(await tab.page.textContent("pre.event")).specversion === "1.0", "the first sink got a structured event");
    await tab.page.focus("[role=tab][aria-selected=true]");
    await tab.page.keyboard.press("ArrowRight");
    equal(await tab.page.textContent("[role=tab][aria-selected=true]"), "audit", "tab after the right arrow");
    check((await tab.page.textContent(".headers")).includes("ce-id"), "the second sink got headers");
    check(JSON.parse(await tab.page.textContent("pre.event")).stepIndex === 1, "the second sink got the data");
    await tab.checkAccessible("an event with three sinks");
    await tab.page.click(".events button:has-text('started')");
    await tab.until("the event of the start is shown", () => document.querySelector("#detail .id")?.textContent.includes("started"));
    equal(await tab.page.locator("pre.log").count(), 0, "logs of a start");
    await tab.page.keyboard.press("Escape");
  },

  async an_event_that_is_on_its_way_is_asked_for_again({ tab, mock }) {
    const id = "event-on-its-way";
    const [step] = row("travels", "succeeded").steps;
    mock.change({ runs: [{ ...row("travels", "succeeded"), steps: [{ ...step, events: [{ id, phase: "succeeded" }] }] }] });
    const accepted = { id, at: at(64), is: "accepted", observed: at(64), type: "t", subject: "s", plugins: [], sinks: ["slow", "fast"] };
    const answer = { id, history: [accepted, { id, at: at(65), is: "delivered", sink: "fast", attempt: 1 }], historyLeftOut: 0, sinks: [{ name: "slow" }, { name: "fast" }], bodies: [] };
    mock.answers.set(id, answer);
    await tab.until("the step is there", resultIs, ["travels", "succeeded"]);
    // A run that arrives with its end is closed.
    await expandAll(tab);
    await tab.step("travels").click();
    await tab.until("the event is shown", () => document.querySelector("#detail [role=tab]"));
    await tab.page.focus("[role=tab][aria-selected=true]");
    mock.answers.set(id, { ...answer, history: [...answer.history, { id, at: at(66), is: "dead", sink: "slow", attempts: 3, reason: "400 Bad Request", to: null }] });
    await tab.until("the new attempt is shown", () => document.querySelector("#detail").textContent.includes("400 Bad Request"));
    equal(await tab.page.evaluate(() => document.activeElement.textContent), "slow", "the focused tab");
    await tab.page.keyboard.press("Escape");
    mock.change({ gone: ["added-travels"] });
  },

  async a_step_without_an_event_says_so({ tab, mock }) {
    mock.change({ runs: [row("later", "waiting")] });
    await tab.until("the step is there", resultIs, ["later", "waiting"]);
    await tab.step("later").click();
    check((await tab.page.textContent("#detail")).includes("no event yet"), "the panel says that there is no event");
    await tab.checkAccessible("a step without an event");
    await tab.page.keyboard.press("Escape");
    mock.change({ gone: ["added-later"] });
  },

  async what_is_gone_is_no_longer_kept({ tab, mock, browser, base }) {
    await tab.step("scan", "failed").click();
    await tab.until("the event is shown", () => document.querySelector("#detail pre"));
    const id = new URLSearchParams((await tab.page.evaluate(() => location.hash)).slice(1)).get("event");
    await tab.page.keyboard.press("Escape");
    const full = await (await fetch(new URL(`page/events/${encodeURIComponent(id)}`, base))).json();
    mock.answers.set(id, { ...full, bodies: [], sinks: full.sinks.map(({ name }) => ({ name, gone: true })) });
    await tab.step("scan", "failed").click();
    await tab.until("it says so", () => document.querySelector("#detail .gone")?.textContent.includes("no longer kept"));
    await tab.checkAccessible("a body is gone");
    await tab.page.keyboard.press("Escape");
    mock.answers.delete(id);
    const other = await Tab.open(browser, base, { fragment: "#event=an-old-event" });
    other.allowFailures(/\/page\/events\/an-old-event$/);
    await other.until("it says so", () => document.querySelector("#detail h3")?.textContent === "No longer kept");
    await other.checkAccessible("an event is gone");
    other.checkQuiet();
    await other.close();
  },

  async an_event_in_the_fragment_opens_at_the_start({ browser, base }) {
    const id = eventId("00000000-0000-4000-8000-000000000006", 0, "push", "failed");
    const tab = await Tab.open(browser, base, { fragment: `#event=${id}` });
    await tab.until("the event is shown", () => document.querySelector("#detail pre"));
    equal(await tab.page.textContent("#detail-title"), "push", "title of the panel");
    await tab.close();
  },

  async hostile_names_are_text({ browser, shots }) {
    const mock = new Mock();
    const base = await mock.listen();
    mock.change({ runs: hostileRuns() });
    mock.answers.set(`${HOSTILE.controls}-event`, hostileAnswer());
    for (const width of [1440, 360]) {
      const tab = await Tab.open(browser, base, { width });
      await tab.until("the rows are there", () => document.querySelectorAll(".row.step").length === 4);
      const names = await tab.shownNames("step");
      for (const expected of [HOSTILE.markup, HOSTILE.long, "safe‹U+202E›gnp.exe‹U+2066›", "a‹U+0000›b‹U+001B›[31mred‹U+0007›‹U+000A›‹U+200B›end"]) {
        check(names.includes(expected), `the name ${JSON.stringify(expected)} is not among ${JSON.stringify(names)}`);
      }
      equal(await tab.page.locator("img").count(), 0, "elements that a name made");
      await tab.checkFits("hostile names");
      await tab.checkAccessible("hostile names");
      await shots(tab, `hostile-${width}`);
      for (const name of [HOSTILE.long, HOSTILE.markup]) {
        await tab.step(name).click();
        await tab.until("the event is shown", () => document.querySelector("#detail pre"));
        equal(await tab.page.textContent("#detail-title"), name, "title of the panel");
        await tab.checkFits("an event with a hostile name");
        await tab.checkAccessible("an event with a hostile name");
        await tab.page.keyboard.press("Escape");
      }
      await tab.step("a‹U+0000›").click();
      await tab.until("the event is shown", () => document.querySelector("#detail pre.log"));
      const panel = await tab.page.textContent("#detail");
      equal(panel.match(/[\u0000-\u0008\u000b-\u001f\u200b\u202e\u2066]/g), null, "invisible characters in the panel");
      for (const place of [".what b", ".what .why", "[role=tab]", ".headers dt", ".headers dd", "pre.log", ".id code"]) {
        check((await tab.page.locator(`#detail ${place}`).first().textContent()).includes("‹U+202E›"), `${place} does not show the code of a character`);
      }
      await tab.checkFits("an event with hostile texts");
      await tab.checkAccessible("an event with hostile texts");
      await tab.page.keyboard.press("Escape");
      await tab.page.fill("#filter-name", HOSTILE.markup);
      equal((await tab.shownNames("step")).length, 1, "steps with the name");
      await tab.page.selectOption("#filter-namespace", HOSTILE.rightToLeft);
      equal((await tab.shownNames("step")).length, 0, "steps of the other namespace");
      tab.checkQuiet();
      await tab.close();
    }
    await mock.close();
  },

  async the_banner_says_why_it_is_not_ready({ tab, mock, shots }) {
    mock.notReady = ["the pods watch has been failing for 41 s; see the log", "plugin `<b>x</b>` could not be loaded; see /plugins"];
    mock.sendStatus();
    await tab.until("the banner is there", () => !document.getElementById("not-ready").hidden);
    equal(await tab.page.$$eval("#not-ready-reasons li", (all) => all.map((one) => one.textContent)), mock.notReady, "reasons");
    await tab.checkAccessible("not ready");
    await tab.page.evaluate(() => scrollTo(0, 0));
    await tab.page.click("#health summary");
    await shots(tab, "not-ready");
    await tab.page.click("#health summary");
    mock.notReady = [];
    mock.sendStatus();
    await tab.until("the banner is gone", () => document.getElementById("not-ready").hidden);
  },

  async an_empty_observer_says_so({ browser }) {
    const mock = new Mock();
    const base = await mock.listen();
    const tab = await Tab.open(browser, base, {});
    await tab.until("it says so", () => document.getElementById("empty").textContent.startsWith("No run yet"));
    await tab.checkAccessible("empty");
    mock.change({ runs: [row("first", "running")] });
    await tab.until("the run is there", resultIs, ["first", "running"]);
    equal(await tab.page.isVisible("#empty"), false, "whether it still says so");
    tab.checkQuiet();
    await tab.close();
    await mock.close();
  },

  async two_thousand_steps_stay_smooth({ browser, shots }) {
    const mock = new Mock();
    const base = await mock.listen();
    const runs = manyRuns(200, 10);
    mock.change({ runs });
    const tab = await Tab.open(browser, base, {});
    await tab.until("all steps are there", () => document.querySelectorAll(".row.step").length === 2000);
    const loaded = Math.round(await tab.page.evaluate(() => performance.now()));
    await expandAll(tab);
    await tab.page.evaluate(() => {
      window.frames = [];
      let last = performance.now();
      const frame = (at) => {
        window.frames.push(at - last);
        last = at;
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    for (let round = 0; round < 40; round += 1) {
      const changed = runs.slice(round * 5, round * 5 + 5).map((run) => ({ ...run, steps: [{ ...run.steps[2], state: "failed", exitCode: 1, endedAt: at(9) }] }));
      mock.change({ runs: changed });
      await tab.page.evaluate(() => new Promise(requestAnimationFrame));
    }
    await tab.until("all changes are shown", () => document.querySelectorAll(".row.step.is-failed").length === 200);
    const frames = await tab.page.evaluate(() => window.frames.sort((one, other) => one - other));
    const [median, slowest] = [frames[frames.length >> 1], frames.at(-1)].map((millis) => Math.round(millis));
    // Generous, because machines that test are slow: without reuse of rows a frame takes seconds.
    check(slowest < 1000, `a frame took ${slowest} ms`);
    await tab.page.locator(".row.group").first().focus();
    await tab.page.keyboard.press("End");
    check((await tab.focus()).startsWith("step-"), "End moves to the last step");
    await tab.close();
    await mock.close();
    return `all steps shown after ${loaded} ms; frames: median ${median} ms, slowest ${slowest} ms`;
  },
};
