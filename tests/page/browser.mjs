// A headless Chromium, and what holds in every state of the page.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** Longest wait for a condition. Nothing waits for a fixed time. */
export const TIMEOUT_MS = 15_000;

export async function launch(executablePath) {
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A failed check. Its message is for people. */
export class Failure extends Error {}

export function check(condition, message) {
  if (!condition) throw new Failure(message);
}

export function equal(actual, expected, what) {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(one === other, `${what}: ${shorten(one)} instead of ${shorten(other)}`);
}

const shorten = (text) => (text?.length > 3000 ? `${text.slice(0, 3000)}…` : text);

/** A tab with the page. Collects what must never happen. */
export class Tab {
  #errors = [];
  #foreign = [];
  #allowed = null;

  static async open(browser, url, { width = 1440, height = 900, dark = false, reducedMotion = "no-preference", fragment = "", cookies } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light", reducedMotion, timezoneId: "UTC", locale: "en" });
    if (cookies) await context.addCookies(cookies);
    const tab = new Tab();
    tab.context = context;
    tab.page = await context.newPage();
    tab.page.setDefaultTimeout(TIMEOUT_MS);
    tab.#listen(new URL(url).origin);
    await tab.page.goto(url + fragment);
    return tab;
  }

  #listen(origin) {
    const { page } = this;
    page.on("pageerror", (error) => this.#errors.push(String(error.stack)));
    page.on("dialog", (dialog) => {
      this.#errors.push(`a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      // Chromium itself reports every answer that is an error, also one that the page handles.
      const isAnswer = message.text().startsWith("Failed to load resource");
      if (!(isAnswer && this.#allowed?.test(message.location().url))) this.#errors.push(`${message.text()} (${message.location().url})`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.origin !== origin && url.protocol !== "data:") this.#foreign.push(request.url());
    });
  }

  /** From now on, requests to such addresses may fail. */
  allowFailures(pattern) {
    this.#allowed = pattern;
  }

  /** Fails if there was a console error, an exception, a dialog or a request to another origin. */
  checkQuiet() {
    equal(this.#errors, [], "errors of the page");
    equal(this.#foreign, [], "requests outside the origin");
  }

  /** Fails if axe-core finds a violation in the present state. Evaluated by the debugger, which the page's policy does not stop. */
  async checkAccessible(state) {
    await this.page.evaluate(`if (!window.axe) { ${AXE} }`);
    const found = await this.page.evaluate(async () => {
      // Animations and transitions would show colours on their way.
      await Promise.all(document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity).map((one) => one.finished));
      const { violations, passes } = await window.axe.run(document, { resultTypes: ["violations"] });
      return { passes: passes.length, violations: violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).join(" | ")}`) };
    });
    equal(found.violations, [], `axe-core in the state "${state}"`);
    check(found.passes > 10, `axe-core checked nothing in the state "${state}"`);
  }

  async checkFits(state) {
    const [content, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    check(content <= window, `the page is ${content} px wide in a window of ${window} px in the state "${state}"`);
  }

  /** Waits until the condition, a function in the page, is true. */
  async until(what, condition, argument) {
    try {
      await this.page.waitForFunction(condition, argument, { timeout: TIMEOUT_MS });
    } catch (error) {
      throw new Failure(`${what}: it did not happen (${String(error.message).split("\n")[0]})`);
    }
  }

  async untilLive() {
    await this.until("the page is live", () => document.getElementById("connection").textContent === "Live");
  }

  connection() {
    return this.page.textContent("#connection");
  }

  /** The row of a step, by the start of its title and of its result. */
  step(name, result = "") {
    const exact = (text) => new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`);
    const { page } = this;
    return page.locator(".row.step:visible").filter({ has: page.locator(".name", { hasText: exact(name) }) }).filter({ has: page.locator(".result", { hasText: exact(result) }) }).first();
  }

  shownNames(selector) {
    return this.page.$$eval(`.row.${selector} .name`, (names) => names.filter((name) => name.checkVisibility()).map((name) => name.textContent));
  }

  /** What has the focus: the text of a row, or an id. */
  focus() {
    return this.page.evaluate(() => {
      const at = document.activeElement;
      return at.classList.contains("row") ? at.querySelector(".name").textContent : at.id || at.tagName;
    });
  }

  async close() {
    await this.context.close();
  }
}
