// Tests the live page in a real headless Chromium.
//
//   npm ci && node page.test.mjs [--screenshots FOLDER] [--chromium /usr/bin/chromium]
//   node page.test.mjs --base http://127.0.0.1:8082/ [--live] [--token-file FILE] [--screenshots FOLDER]
//
// Without `--base`, the mock plays, and all checks run. With it, those run that hold for any server that shows at least one
// ended step; `--live` also waits until a step changes. The exit code is 1 at the first check that fails, 2 for wrong arguments.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ANY_SERVER } from "./any-server.mjs";
import { Failure, Tab, launch } from "./browser.mjs";
import { CONNECTION } from "./connection.mjs";
import { Mock } from "./mock.mjs";
import { MODULES } from "./modules.mjs";
import { SCRIPTED } from "./scripted.mjs";

const OPTIONS = { base: "string", live: "boolean", "token-file": "string", screenshots: "string", chromium: "string" };

async function main() {
  const options = Object.fromEntries(Object.entries(OPTIONS).map(([name, type]) => [name, { type }]));
  const { values } = parseArgs({ options });
  const mock = values.base ? null : new Mock();
  mock?.playTo(70, true);
  const base = values.base ?? (await mock.listen());
  if (!base.endsWith("/")) throw new TypeError("--base must end with /");
  const browser = await launch(values.chromium ?? "/usr/bin/chromium");
  try {
    const token = values["token-file"] ? readFileSync(values["token-file"], "utf8").trim() : null;
    const shots = screenshots(values.screenshots);
    const tab = await Tab.open(browser, base);
    const world = { browser, base, mock, shots, tab, cookies: token ? await signIn(tab, token) : undefined };
    const checks = { ...ANY_SERVER, ...(mock ? { ...MODULES, ...SCRIPTED, ...CONNECTION } : {}), ...(values.live ? { it_updates_live } : {}) };
    for (const [name, check] of Object.entries(checks)) {
      const note = await check(world).catch((error) => {
        error.check = name;
        throw error;
      });
      console.log(`ok ${name}${note ? ` (${note})` : ""}`);
    }
    console.log(`${Object.keys(checks).length} checks passed`);
  } finally {
    await browser.close();
    await mock?.close();
  }
}

/** Signs in with the form, and returns the cookies for other tabs. */
async function signIn(tab, token) {
  tab.allowFailures(/\/page\/stream$/);
  await tab.page.fill("#token", token);
  await tab.page.click("#sign-in-form button");
  await tab.untilLive();
  return tab.context.cookies();
}

async function it_updates_live({ tab }) {
  const states = () => [...document.querySelectorAll(".row.step")].map((row) => row.className).join();
  const before = await tab.page.evaluate(states);
  await tab.page.waitForFunction((old) => [...document.querySelectorAll(".row.step")].map((row) => row.className).join() !== old, before, { timeout: 120_000 });
}

/** Makes screenshots into a folder, if there is one. */
function screenshots(folder) {
  if (!folder) return async () => {};
  mkdirSync(folder, { recursive: true });
  return async (tab, name) => {
    await tab.page.screenshot({ path: join(folder, `page-${name}.png`) });
  };
}

main().catch((error) => {
  console.error(error.check ? `FAILED ${error.check}: ${error instanceof Failure ? error.message : error.stack}` : error.stack);
  process.exit(error.code?.startsWith?.("ERR_PARSE_ARGS") || error instanceof TypeError && !error.check ? 2 : 1);
});
