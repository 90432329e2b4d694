// What the tests of the console run against: the real gateway with a queue, an app that fails when it is told to, and senders.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";

// The longest wait for a condition.
const PATIENCE = 20_000;
const PAUSE = 40;

// The names of secrets are seen on pages. The secrets are for these tests alone.
const PROPIFY = "console_0123456789abcdef0123456789abcdef";
const GITHUB = "console_fedcba9876543210fedcba9876543210";
const READER = "console_reads_0123456789abcdef";

export const MARKUP = "<img src=x onerror=ran=1><script>ran=1;alert(1)</script>";
export const HOSTILE_MODEL = `<script>ran=1</script>"'><b>`;
export const LONG_PATH = `/hooks/${"a-path-that-is-long-and-has-no-place-to-break".repeat(4)}`;

/** Waits until a function gives a value that counts as true, and returns it. */
export async function until(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${patience / 1000} s: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
  }
}

/** A port that is free now. */
async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** A request; the answer with its whole content. */
export function ask(port, { method = "GET", path = "/", headers = {}, content = "" }) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, method, path, headers, agent: false, timeout: PATIENCE }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
      answer.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`${method} ${path}: no answer`)));
    request.on("error", reject);
    request.end(content);
  });
}

/** The app. It keeps what it has taken, and fails on paths that are in `failing`. */
class App {
  taken = [];
  failing = new Set();
  answer = JSON.stringify({ error: "the database is locked" });

  async start() {
    this.server = http.createServer((request, answer) => {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const path = request.url.split("?")[0];
        const fails = this.failing.has(path);
        if (!fails) this.taken.push({ path, id: request.headers["x-test"], content: Buffer.concat(parts) });
        // With 422, the circuit stays closed: the event is at fault, and not the app.
        answer.writeHead(fails ? 422 : 200, { "content-type": "text/html" });
        answer.end(fails ? this.answer : "ok");
      });
    });
    await new Promise((resolve) => { this.server.listen(0, "127.0.0.1", resolve); });
    this.port = this.server.address().port;
  }

  /** The contents that have arrived with this mark. */
  with(id) {
    return this.taken.filter((one) => one.id === id).map((one) => one.content);
  }
}

/** The gateway, its app and its senders. */
export class World {
  app = new App();
  marks = 0;

  constructor(binary, folder) {
    this.binary = binary;
    this.folder = folder;
    this.log = join(folder, "gateway.log");
  }

  async start(console = "true") {
    await this.app.start();
    [this.port, this.admin] = [await freePort(), await freePort()];
    this.configure(console);
    await this.run();
  }

  /** Starts the gateway with its configuration. */
  async run() {
    const log = openSync(this.log, "a");
    const env = { ...process.env, CONSOLE_READER: READER };
    this.ended = undefined;
    this.gateway = spawn(this.binary, ["run", "--config", "gateway.toml"], { cwd: this.folder, stdio: ["ignore", log, log], env });
    closeSync(log);
    this.gateway.on("exit", (code) => { this.ended = code ?? "a signal"; });
    await until("the gateway is ready", async () => {
      if (this.ended !== undefined) throw new Error(`the gateway has ended: ${this.ended}\n${this.tail()}`);
      return ask(this.admin, { path: "/readyz" }).then((answer) => answer.status === 200, () => false);
    });
  }

  configure(console, hasTokens = false) {
    const app = `http://127.0.0.1:${this.app.port}`;
    const github = `{ scheme = "github", secrets = [{ name = "github", value = "${GITHUB}" }] }`;
    writeFileSync(join(this.folder, "gateway.toml"), `
[server]
listen = "127.0.0.1:${this.port}"
[admin]
listen = "127.0.0.1:${this.admin}"
console = ${console}
${hasTokens ? `tokens = [{ name = "reader", env = "CONSOLE_READER", role = "read" }]` : ""}
[queue]
store = "events.db"
[limits]
max_body = "32MiB"
[retry]
schedule = ["50ms"]
max_attempts = 2
[signature]
scheme = "propify"
secrets = [{ name = "current", value = "${PROPIFY}" }, { name = "previous", value = "${PROPIFY}_old" }]

[[routes]]
path = "/webhook/leases"
upstream = "${app}"
[[routes]]
path = "/webhook/leads"
upstream = "${app}"
delivery = "queue"
[[routes]]
path = "/webhook/odd"
model = '''${HOSTILE_MODEL}'''
upstream = "${app}"
delivery = "queue"
[[routes]]
path = "/hooks/github"
upstream = "${app}"
delivery = "queue"
signature = ${github}
[[routes]]
path = "/hooks/private"
upstream = "${app}"
delivery = "queue"
console_content = "never"
signature = ${github}
[[routes]]
path = "${LONG_PATH}"
upstream = "${app}"
delivery = "queue"
signature = ${github}
[[routes]]
path = "/hooks/captured"
upstream = "${app}"
capture = true
signature = ${github}
[[routes]]
path = "/hooks/down"
upstream = "http://127.0.0.1:1"
delivery = "queue"
signature = ${github}
retry = { schedule = ["20s"], max_attempts = 9 }
`);
  }

  /** Writes another configuration. The gateway reads it again. */
  reload(console, hasTokens = false) {
    this.configure(console, hasTokens);
    this.gateway.kill("SIGHUP");
  }

  /** Sends an event. Returns its mark, which the app sees. */
  async send(path, content, { headers = {}, query = "", forged = false, signs = content } = {}) {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content);
    const isGithub = path.startsWith("/hooks/");
    const secret = forged ? "another secret, of somebody else" : isGithub ? GITHUB : PROPIFY;
    const tag = createHmac("sha256", secret).update(signs).digest("hex");
    const signed = isGithub ? { "x-hub-signature-256": `sha256=${tag}`, "x-github-event": "push" } : { "propify-signature": tag };
    const mark = `mark-${++this.marks}`;
    const answer = await ask(this.port, {
      method: "POST", path: path + query, content: bytes,
      headers: { "content-type": "application/json", "content-length": bytes.length, "x-test": mark, ...signed, ...headers },
    });
    const want = forged || signs !== content ? 401 : answer.status === 200 ? 200 : 202;
    if (answer.status !== want) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return mark;
  }

  /** Sends an event to a route with a queue. Returns its id in the store, and its mark. */
  async store(path, content, options) {
    const mark = await this.send(path, content, options);
    const newest = await this.events(`limit=20`);
    for (const { id } of newest) {
      const { fields } = await this.api(`/events/${id}`);
      if (fields?.some(({ name, value }) => name === "x-test" && value === mark)) return { id, mark };
    }
    throw new Error(`no event has the mark ${mark}`);
  }

  /** Reads a document of the API. */
  async api(path) {
    const answer = await ask(this.admin, { path: `/api/v1${path}` });
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  async events(query) {
    return (await this.api(`/events?${query}`)).events;
  }

  async state(id) {
    return (await this.api(`/events/${id}`)).state;
  }

  /** Waits until an event has this state. */
  async reaches(id, state) {
    await until(`event ${id} is ${state}`, async () => await this.state(id) === state);
  }

  /** An event that the gateway has given up. */
  async dead(path, content, options) {
    this.app.failing.add(path);
    const event = await this.store(path, content, options);
    await this.reaches(event.id, "dead");
    return event;
  }

  /** Ends the gateway at once. */
  async kill() {
    this.gateway.kill("SIGKILL");
    await until("the gateway has ended", () => this.ended !== undefined, 5000);
  }

  /** The token that only reads. */
  get reader() {
    return READER;
  }

  /** A link to the console. */
  async link(token = "") {
    const authorization = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await ask(this.admin, {
      method: "POST", path: "/api/v1/console/links", content: "{}", headers: { "content-type": "application/json", ...authorization },
    });
    if (answer.status !== 201) throw new Error(`no link: ${answer.status} ${answer.text}`);
    return this.url(JSON.parse(answer.text).path);
  }

  url(path) {
    return `http://127.0.0.1:${this.admin}${path}`;
  }

  tail() {
    return existsSync(this.log) ? readFileSync(this.log, "utf8").split("\n").slice(-20).join("\n") : "";
  }

  /** Ends the gateway and the app. */
  async stop() {
    this.app.server?.closeAllConnections();
    this.app.server?.close();
    if (!this.gateway || this.ended !== undefined) return;
    await this.kill();
  }
}
