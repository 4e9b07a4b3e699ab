// Checks that hold for any server: the mock, or an observer with runs.

import { check, equal, Tab } from "./browser.mjs";
import { HEADERS } from "./mock.mjs";

/** All files together, uncompressed. */
const MAX_BYTES = 90 * 1024;
const STATES = ["waiting", "running", "succeeded", "failed", "skipped"];

export const ANY_SERVER = {
  async every_file_is_there_with_its_headers({ base }) {
    const html = await (await fetch(base)).text();
    check(!/\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|<style/i.test(html), "index.html has an inline script or style");
    const seen = new Set();
    const queue = [""];
    for (const [, url] of html.matchAll(/(?:href|src)="([^"#:]+)"/g)) queue.push(url);
    let bytes = 0;
    while (queue.length) {
      const path = queue.pop();
      if (seen.has(path)) continue;
      seen.add(path);
      check(!path.startsWith("/") && !path.includes("//"), `the URL ${path} is not relative`);
      const response = await fetch(new URL(path, base));
      equal(response.status, 200, `status of ${path}`);
      for (const [name, value] of Object.entries(HEADERS)) equal(response.headers.get(name), value, `${name} of ${path}`);
      const text = await response.text();
      bytes += Buffer.byteLength(text);
      check(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage|sessionStorage/.test(text), `${path} uses what it must not use`);
      if (path.endsWith(".js")) for (const [, name] of text.matchAll(/from "\.\/([^"]+)"/g)) queue.push(`page/${name}`);
    }
    check(seen.size > 3, "too few files were found");
    check(bytes <= MAX_BYTES, `the page has ${bytes} bytes`);
    return `${seen.size} files, ${(bytes / 1024).toFixed(1)} KiB`;
  },

  async it_loads_and_shows_runs({ tab }) {
    await tab.untilLive();
    await tab.until("there is a run", () => document.querySelector(".row.group"));
    equal(await tab.page.$$eval("h1", (all) => all.length), 1, "number of h1");
    equal(await tab.page.$$eval("[role=status], [aria-live], [role=alert]", (all) => all.map(({ id }) => id)), ["connection"], "what is announced");
    await tab.checkAccessible("live");
  },

  async plugins_and_sinks_are_shown({ tab }) {
    await tab.page.click("#health summary");
    await tab.until("there is a card for each", () => document.querySelector("#plugins li") && document.querySelector("#sinks li"));
    await tab.checkAccessible("plugins and sinks");
    await tab.page.click("#health summary");
  },

  async each_state_can_be_filtered({ tab }) {
    for (const state of STATES) {
      await tab.page.check(`#filter-${state}`, { force: true });
      // In one go: the page may change between two questions.
      const [results, expected] = await tab.page.evaluate((wanted) => {
        const rows = [...document.querySelectorAll(".row.step")].filter((one) => one.checkVisibility());
        return [rows.map((one) => one.querySelector(".result").textContent), Number(document.getElementById(`count-${wanted}`).textContent)];
      }, state);
      check(results.every((result) => result.startsWith(state)), `with the filter ${state}: ${results}`);
      equal(results.length, expected, `steps that are ${state}`);
      check((await tab.page.evaluate(() => location.hash)).includes(`state=${state}`), "the fragment has the state");
      await tab.page.uncheck(`#filter-${state}`, { force: true });
    }
    equal(await tab.page.evaluate(() => location.hash), "", "fragment without a filter");
  },

  async names_can_be_filtered({ tab }) {
    const [name] = await tab.shownNames("group");
    await tab.page.fill("#filter-name", name.toUpperCase());
    const groups = await tab.shownNames("group");
    check(groups.includes(name) && groups.length <= (await tab.page.locator(".row.group").count()), `groups with the name ${name}: ${groups}`);
    await tab.page.fill("#filter-name", "no-run-has-this-name");
    equal(await tab.shownNames("group"), [], "groups with a name that is not there");
    check((await tab.page.textContent("#empty")).startsWith("No run passes the filter"), "it says that the filter hides all");
    await tab.checkAccessible("nothing passes the filter");
    await tab.page.fill("#filter-name", "");
  },

  async namespaces_can_be_filtered({ tab }) {
    const namespace = await tab.page.locator("#filter-namespace option").nth(1).getAttribute("value");
    await tab.page.selectOption("#filter-namespace", namespace);
    const notes = await tab.page.$$eval(".row.group .note", (all) => all.filter((one) => one.checkVisibility()).map((one) => one.textContent));
    check(notes.length > 0 && notes.every((note) => note === namespace), `namespaces with the filter ${namespace}: ${notes}`);
    await tab.page.selectOption("#filter-namespace", "");
  },

  async the_filter_survives_a_reload({ tab }) {
    await tab.page.check("#filter-succeeded", { force: true });
    await tab.page.fill("#filter-name", "a");
    const before = await tab.page.evaluate(() => location.hash);
    await tab.page.reload();
    await tab.untilLive();
    equal(await tab.page.evaluate(() => [location.hash, document.getElementById("filter-name").value, document.getElementById("filter-succeeded").checked]), [before, "a", true], "filter after a reload");
    await tab.page.fill("#filter-name", "");
    await tab.page.uncheck("#filter-succeeded", { force: true });
  },

  async an_event_opens_by_mouse({ tab }) {
    await expandAll(tab);
    const row = await endedStep(tab);
    const name = await row.locator(".name").textContent();
    await row.click();
    await tab.until("the event is shown", () => document.querySelector("#detail .event h3"));
    equal(await tab.page.textContent("#detail-title"), name, "title of the panel");
    equal(await tab.focus(), "detail-title", "focus after a click");
    check((await tab.page.evaluate(() => location.hash)).startsWith("#event="), "the fragment names the event");
    await tab.checkAccessible("an event is open");
    await tab.page.click("#detail .close");
    equal(await tab.focus(), name, "focus after the panel was closed");
    equal(await tab.page.evaluate(() => location.hash), "", "fragment after the panel was closed");
  },

  async an_event_opens_by_keyboard({ tab }) {
    await tab.page.focus("#fold");
    await tab.page.keyboard.press("Tab");
    await tab.page.keyboard.press("Home");
    const first = await tab.focus();
    equal(first, (await tab.shownNames("group"))[0], "focus after Home");
    await tab.page.keyboard.press("ArrowLeft");
    const closed = tab.page.locator(".row.group").first();
    equal(await closed.getAttribute("aria-expanded"), "false", "a group after the left arrow");
    await tab.page.keyboard.press("ArrowRight");
    equal(await closed.getAttribute("aria-expanded"), "true", "a group after the right arrow");
    for (let left = 200; left > 0 && !(await tab.page.evaluate(() => document.activeElement.matches(".step.is-succeeded, .step.is-failed"))); left -= 1) {
      await tab.page.keyboard.press("ArrowDown");
    }
    const name = await tab.focus();
    await tab.page.keyboard.press("Enter");
    await tab.until("the event is shown", () => document.querySelector("#detail .event h3"));
    equal(await tab.page.textContent("#detail-title"), name, "title of the panel");
    await tab.page.keyboard.press("Escape");
    equal(await tab.focus(), name, "focus after Escape");
    await tab.page.keyboard.press("ArrowLeft");
    check(await tab.page.evaluate(() => document.activeElement.matches(".row.group")), "the left arrow moves from a step to its group");
    await tab.page.keyboard.press("End");
    const last = await tab.page.evaluate(() => [...document.querySelectorAll(".row[tabindex]")].filter((one) => one.checkVisibility()).at(-1) === document.activeElement);
    check(last, "End moves to the last row");
  },

  async a_phone_needs_no_horizontal_scroll({ browser, base, cookies, shots }) {
    const tab = await Tab.open(browser, base, { width: 360, height: 780, cookies });
    await tab.untilLive();
    await tab.until("there is a run", () => document.querySelector(".row.group"));
    await tab.page.click("#health summary");
    await tab.checkFits("phone");
    await tab.checkAccessible("phone");
    await tab.page.click("#health summary");
    await shots(tab, "phone");
    await expandAll(tab);
    await (await endedStep(tab)).click();
    await tab.until("the event is shown", () => document.querySelector("#detail .event h3"));
    await tab.checkFits("an event on a phone");
    await tab.checkAccessible("an event on a phone");
    await shots(tab, "phone-event");
    await tab.page.keyboard.press("Escape");
    equal(await tab.page.$$eval("[inert]", (all) => all.length), 0, "what takes no focus after the panel is closed");
    tab.checkQuiet();
    await tab.close();
  },

  async light_and_dark_colours_are_legible({ browser, base, cookies, shots }) {
    for (const dark of [false, true]) {
      const name = dark ? "dark" : "light";
      const tab = await Tab.open(browser, base, { dark, cookies });
      await tab.untilLive();
      await tab.until("there is a run", () => document.querySelector(".row.group"));
      const background = await tab.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      equal(background.match(/\d+/g).slice(0, 3).every((part) => Number(part) < 64), dark, `whether ${background} is dark`);
      await tab.checkAccessible(name);
      await shots(tab, name);
      await expandAll(tab);
      await (await endedStep(tab)).click();
      await tab.until("the event is shown", () => document.querySelector("#detail .event h3"));
      await tab.checkAccessible(`an event, ${name}`);
      await tab.page.mouse.move(0, 0);
      await shots(tab, `${name}-event`);
      tab.checkQuiet();
      await tab.close();
    }
  },

  async nothing_moves_with_reduced_motion({ browser, base, cookies }) {
    const tab = await Tab.open(browser, base, { reducedMotion: "reduce", cookies });
    await tab.untilLive();
    await tab.until("there is a run", () => document.querySelector(".row.group"));
    await tab.page.evaluate(() => document.querySelector(".connection").setAttribute("data-state", "reconnecting"));
    await tab.page.locator(".row.group").first().click();
    equal(await tab.page.evaluate(() => document.getAnimations().length), 0, "animations");
    await tab.close();
  },

  async the_page_stores_nothing({ tab }) {
    equal(await tab.page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""], "storage and readable cookies");
    tab.checkQuiet();
  },
};

/** The row of a step that has ended. Prefers one that failed, which has the most to show. */
export async function endedStep({ page }) {
  const [failed, succeeded] = ["failed", "succeeded"].map((state) => page.locator(`.row.step.is-${state}:visible`));
  return (await failed.count()) ? failed.first() : succeeded.first();
}

export async function expandAll(tab) {
  const fold = tab.page.locator("#fold");
  for (let left = 2; left > 0 && (await tab.page.locator(".row.group[aria-expanded=false]").count()); left -= 1) await fold.click();
  equal(await tab.page.locator(".row.group[aria-expanded=false]").count(), 0, "closed groups after Expand all");
}
