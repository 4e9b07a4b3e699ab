// A server that implements the contract in host/src/admin/page/README.md, and plays a scenario.
//
//   node mock.mjs [--port 8083] [--speed 1] [--token]     shows the page; ends with Ctrl-C

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { eventAnswer } from "./events.mjs";
import { ORIGIN, scenario, status } from "./scenario.mjs";

const FOLDER = new URL("../../host/src/admin/page/", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8" };
/** Changes that are kept for `Last-Event-ID`, as the contract says. */
const KEPT_CHANGES = 1024;
export const TOKEN = "a-token-for-the-mock";
export const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
};

export class Mock {
  /** Requests so far: `{method, path, headers}`. */
  requests = [];
  /** Answers of `page/events/ID` that replace the usual ones; null is 404. */
  answers = new Map();
  /** If set, `{status, text, headers}` answers the stream. */
  refusal = null;
  needsToken = false;
  isDown = false;
  notReady = [];
  second = -300;
  #streams = new Set();
  #sockets = new Set();
  #sessions = new Set();
  #process = 0;
  #server = createServer((request, response) => this.#answer(request, response).catch((error) => response.destroy(error)));

  constructor() {
    this.restart();
    this.#server.on("connection", (socket) => {
      if (this.isDown) return void socket.destroy();
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  /** Listens, and returns the URL of the page. */
  async listen(port = 0) {
    await new Promise((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  async close() {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Ends all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Begins anew, as a restarted process does: another name, an empty table, no sessions. */
  restart() {
    this.#process += 1;
    this.startedAt = this.second;
    this.#sessions.clear();
    this.runs = new Map();
    this.changes = [];
    this.seq = 0;
    this.left = scenario();
  }

  get openStreams() {
    return this.#streams.size;
  }

  get #id() {
    return `${this.#processName}-${this.seq}`;
  }

  get #processName() {
    return String(this.#process).padStart(16, "0");
  }

  #now() {
    return new Date(ORIGIN + this.second * 1000).toISOString();
  }

  /** Plays the scenario up to a second. Each change is one message, unless `quietly`. */
  playTo(second, quietly = false) {
    while (this.left.length && this.left[0][0] <= second) {
      const [seconds, run] = this.left.shift();
      this.second = Math.max(this.second, seconds);
      this.change({ runs: [run] }, quietly);
    }
    this.second = second;
    this.sendStatus();
  }

  /** Applies a change, and sends it to all streams. */
  change({ runs = [], gone = [] }, quietly = false) {
    for (const uid of gone) this.runs.delete(uid);
    for (const { steps = [], ...members } of runs) {
      const run = this.runs.get(members.uid) ?? { steps: [] };
      Object.assign(run, members);
      for (const step of steps) {
        const known = run.steps.findIndex(({ key }) => key === step.key);
        if (known >= 0) run.steps[known] = step;
        else run.steps.push(step);
      }
      this.runs.set(run.uid, run);
    }
    this.seq += 1;
    const text = `event: change\nid: ${this.#id}\ndata: ${JSON.stringify({ now: this.#now(), runs, gone })}\n\n`;
    this.changes.push(text);
    if (this.changes.length > KEPT_CHANGES) this.changes.shift();
    if (!quietly) this.send(text);
  }

  sendStatus() {
    this.send(this.#statusText());
  }

  /** Sends text to all streams as it is. */
  send(text) {
    for (const stream of this.#streams) stream.write(text);
  }

  #statusText() {
    return `event: status\ndata: ${JSON.stringify(status(this.second, { notReady: this.notReady }))}\n\n`;
  }

  async #answer(request, response) {
    const path = new URL(request.url, "http://mock").pathname;
    this.requests.push({ method: request.method, path, headers: request.headers });
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const refuse = (code, text, headers = {}) => response.writeHead(code, { "Content-Type": "text/plain; charset=utf-8", ...headers }).end(`${text}\n`);
    const session = /(?:^|; )step-observer-session=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
    const asset = request.method === "GET" ? /^\/(?:page\/([a-z]+\.(?:css|js)))?$/.exec(path) : null;
    if (asset) return this.#asset(asset[1] ?? "index.html", request, response, refuse);
    if (path === "/session") return this.#session(request, response, session, refuse);
    if (this.needsToken && !this.#sessions.has(session)) return refuse(401, "a token is required: Authorization: Bearer TOKEN", { "WWW-Authenticate": 'Bearer realm="step-observer"' });
    if (path === "/page/stream") return this.#stream(request, response, Boolean(session), refuse);
    if (path.startsWith("/page/events/")) return this.#event(decodeURIComponent(path.slice("/page/events/".length)), response, refuse);
    refuse(404, "not found");
  }

  async #asset(name, request, response, refuse) {
    let content;
    try {
      content = await readFile(new URL(name, FOLDER));
    } catch {
      return refuse(404, "not found");
    }
    const tag = `"${createHash("sha256").update(content).digest("hex").slice(0, 16)}"`;
    const headers = { "Content-Type": TYPES[name.split(".").pop()], "Cache-Control": "no-cache", ETag: tag };
    if (request.headers["if-none-match"] === tag) return void response.writeHead(304, headers).end();
    response.writeHead(200, headers).end(content);
  }

  async #session(request, response, session, refuse) {
    if (request.headers.origin !== `http://${request.headers.host}`) return refuse(403, "the Origin is not this page");
    const cookie = (value, more = "") => ({ "Set-Cookie": `step-observer-session=${value}; HttpOnly; SameSite=Strict; Path=/${more}` });
    if (request.method === "DELETE") {
      this.#sessions.delete(session);
      return void response.writeHead(204, cookie("", "; Max-Age=0")).end();
    }
    let body = "";
    for await (const piece of request) body += piece;
    if (new URLSearchParams(body).get("token") !== TOKEN) return refuse(401, "this token is not valid");
    const name = `session${this.requests.length}`;
    this.#sessions.add(name);
    response.writeHead(204, cookie(name)).end();
  }

  #stream(request, response, isSession, refuse) {
    if (this.refusal) return refuse(this.refusal.status, this.refusal.text, this.refusal.headers);
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no" });
    const [name, seq] = (request.headers["last-event-id"] ?? "").split("-");
    const missed = this.seq - Number(seq);
    if (name === this.#processName && missed >= 0 && missed <= this.changes.length) {
      response.write(this.changes.slice(this.changes.length - missed).join(""));
    } else {
      const data = { process: this.#processName, startedAt: new Date(ORIGIN + this.startedAt * 1000).toISOString(), now: this.#now(), session: isSession, runs: [...this.runs.values()] };
      response.write(`event: snapshot\nid: ${this.#id}\ndata: ${JSON.stringify(data)}\n\n`);
    }
    response.write(this.#statusText());
    this.#streams.add(response);
    response.on("close", () => this.#streams.delete(response));
  }

  #event(id, response, refuse) {
    let answer = this.answers.get(id);
    if (answer === undefined) {
      for (const run of this.runs.values()) {
        for (const step of run.steps) {
          const event = step.events.find((known) => known.id === id);
          if (event) answer = eventAnswer(run, step, event);
        }
      }
    }
    if (!answer) return refuse(404, "the history does not contain this event");
    response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" }).end(JSON.stringify(answer));
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "8083" }, speed: { type: "string", default: "1" }, token: { type: "boolean", default: false } } });
  const mock = new Mock();
  mock.needsToken = values.token;
  mock.playTo(0, true);
  console.log(await mock.listen(Number(values.port)));
  setInterval(() => mock.playTo(mock.second + Number(values.speed) / 4), 250);
}
