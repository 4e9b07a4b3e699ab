// Checks of the connection: pause, reconnection, restart, refusals, sign-in.

import { endedStep, expandAll } from "./any-server.mjs";
import { Tab, check, equal } from "./browser.mjs";
import { resultIs, row, until } from "./kit.mjs";
import { Mock, TOKEN } from "./mock.mjs";

const STREAM = /\/page\/stream$/;
const hasStreams = (mock, wanted) => until(`${wanted} open streams`, () => mock.openStreams === wanted);

export const CONNECTION = {
  async pause_closes_the_stream_and_goes_on_where_it_was({ tab, mock }) {
    await tab.page.click("#pause");
    await hasStreams(mock, 0);
    equal(await tab.connection(), "Paused", "connection");
    await tab.checkAccessible("paused");
    mock.change({ runs: [row("meanwhile", "running")] });
    await tab.page.click("#pause");
    await tab.until("the change is shown", resultIs, ["meanwhile", "running"]);
    const { headers } = mock.requests.findLast(({ path }) => path === "/page/stream");
    equal(headers["last-event-id"], `0000000000000001-${mock.seq - 1}`, "Last-Event-ID");
    await tab.untilLive();
  },

  async a_hidden_tab_has_no_stream({ tab, mock }) {
    const hide = (hidden) => tab.page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await hide(true);
    await hasStreams(mock, 0);
    mock.change({ gone: ["added-meanwhile"] });
    await hide(false);
    await hasStreams(mock, 1);
    await tab.until("the change is shown", () => ![...document.querySelectorAll(".name")].some((name) => name.textContent === "meanwhile"));
  },

  async it_reconnects_and_says_so({ tab, mock, shots }) {
    tab.allowFailures(STREAM);
    await tab.step("sign").focus();
    mock.isDown = true;
    mock.cut();
    await tab.until("it says so", () => document.getElementById("connection").textContent === "Reconnecting");
    await tab.checkAccessible("reconnecting");
    await shots(tab, "reconnecting");
    mock.change({ runs: [row("while-away", "running")] });
    mock.isDown = false;
    await tab.until("the change is shown", resultIs, ["while-away", "running"]);
    await tab.untilLive();
    const { headers } = mock.requests.findLast(({ path }) => path === "/page/stream");
    equal(headers["last-event-id"], `0000000000000001-${mock.seq - 1}`, "Last-Event-ID");
    equal(await tab.focus(), "sign", "focus after the reconnection");
    equal(await tab.page.textContent("#connection-note"), "", "note");
  },

  async a_gap_that_is_too_long_gives_a_snapshot({ tab, mock }) {
    mock.isDown = true;
    mock.cut();
    for (let count = 0; count < 1100; count += 1) mock.change({ runs: [row("while-away", "running")] });
    mock.change({ gone: ["added-while-away"], runs: [row("after-the-gap", "running")] });
    mock.isDown = false;
    await tab.until("the change is shown", resultIs, ["after-the-gap", "running"]);
    check(!(await tab.shownNames("step")).includes("while-away"), "a run that left is gone");
    equal(await tab.focus(), "sign", "focus after the snapshot");
    equal(await tab.page.isVisible("#restarted"), false, "whether it speaks of a restart");
    mock.change({ gone: ["added-after-the-gap"] });
  },

  async a_message_that_cannot_be_read_is_survived({ tab, mock }) {
    mock.send("event: change\nid: 0000000000000001-9999\ndata: {\"runs\":[\n\n");
    await tab.until("it says so", () => document.getElementById("connection-note").textContent.includes("cannot be read"));
    await tab.untilLive();
    const { headers } = mock.requests.findLast(({ path }) => path === "/page/stream");
    equal(headers["last-event-id"], undefined, "Last-Event-ID");
    mock.send("event: of-the-future\ndata: {}\n\n");
  },

  async a_busy_server_is_tried_again_when_it_says({ tab, mock }) {
    mock.refusal = { status: 503, text: "too many pages are open", headers: { "Retry-After": "1" } };
    mock.cut();
    await tab.until("it says so", () => document.getElementById("connection-note").textContent === "too many pages are open");
    mock.refusal = null;
    await tab.untilLive();
  },

  async a_restart_is_said_and_begins_anew({ tab, mock, shots }) {
    await tab.step("sign").click();
    await tab.until("the event is shown", () => document.querySelector("#detail pre"));
    mock.restart();
    mock.second = 300;
    mock.startedAt = 298;
    mock.left = [];
    mock.change({ runs: [row("anew", "running")] }, true);
    mock.cut();
    await tab.until("the new run is shown", resultIs, ["anew", "running"]);
    equal(await tab.page.textContent("#restarted-text"), "The observer restarted at 13:08:58. The page begins anew.", "notice");
    equal(await tab.shownNames("group"), ["added-anew"], "groups");
    equal(await tab.page.isVisible("#detail"), false, "whether the panel is open");
    equal(await tab.focus(), "restarted-close", "focus after the panel went");
    await tab.checkAccessible("restarted");
    await shots(tab, "restarted");
    await tab.page.click("#restarted-close");
    check((await tab.focus()) !== "BODY", "the focus is not lost");
    tab.checkQuiet();
  },

  async a_refusal_is_shown_as_text({ browser }) {
    const mock = new Mock();
    const base = await mock.listen();
    mock.refusal = { status: 403, text: "runs are not shown here: <b>set admin.auth</b>" };
    const tab = await Tab.open(browser, base, {});
    tab.allowFailures(STREAM);
    await tab.until("it says so", () => document.getElementById("refused-text").textContent.includes("<b>set admin.auth</b>"));
    equal(await tab.page.isVisible("#data"), false, "whether data is shown");
    await tab.checkAccessible("refused");
    await tab.close();
    await mock.close();
  },

  async a_token_is_asked_for_and_not_kept({ browser, shots }) {
    const mock = new Mock();
    mock.playTo(70, true);
    mock.needsToken = true;
    const base = await mock.listen();
    const tab = await Tab.open(browser, base, {});
    tab.allowFailures(/\/(page\/stream|session|page\/events\/.*)$/);
    await tab.until("the form is there", () => !document.getElementById("sign-in").hidden);
    equal(await tab.focus(), "token", "focus");
    equal(await tab.page.isVisible("#data"), false, "whether data is shown");
    await tab.checkAccessible("sign-in");
    await shots(tab, "sign-in");
    await tab.page.fill("#token", "wrong");
    await tab.page.keyboard.press("Enter");
    await tab.until("it says so", () => document.getElementById("sign-in-problem").textContent === "this token is not valid");
    equal(await tab.page.inputValue("#token"), "", "the field after a refusal");
    await tab.checkAccessible("sign-in refused");
    await tab.page.fill("#token", TOKEN);
    await tab.page.keyboard.press("Enter");
    await tab.untilLive();
    await tab.until("there are runs", () => document.querySelector(".row.group"));
    equal(await tab.page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length, document.getElementById("token").value]), ["", 0, 0, ""], "what the page keeps");
    check(!JSON.stringify(mock.requests).includes(TOKEN), "no URL or header had the token");
    await tab.page.reload();
    await tab.untilLive();
    await tab.checkAccessible("signed in");
    // The session ends while an event is open: nothing may stay on the page.
    await expandAll(tab);
    await (await endedStep(tab)).click();
    await tab.until("the event is shown", () => document.querySelector("#detail .event h3"));
    mock.restart();
    await tab.page.click(".events button[aria-pressed=false]");
    await tab.until("the form is there", () => !document.getElementById("sign-in").hidden);
    equal(await tab.page.evaluate(() => [document.querySelectorAll(".card").length, document.getElementById("detail").textContent]), [0, ""], "what is left");
    await tab.page.fill("#token", TOKEN);
    await tab.page.click("#sign-in-form button");
    await tab.untilLive();
    await tab.page.click("#sign-out");
    await tab.until("the form is there", () => !document.getElementById("sign-in").hidden);
    await hasStreams(mock, 0);
    tab.checkQuiet();
    await tab.close();
    await mock.close();
  },
};
