// Chromium, and what is watched in each page: scripts that ran, dialogs, broken rules of the page's policy, requests to other hosts.

import { createRequire } from "node:module";
import { join } from "node:path";

// How long the browser waits for anything.
const PATIENCE = 15_000;
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 800 };
// A name that leads to this machine, as an attacker's can.
export const FOREIGN = "console.attacker.example";

/** The libraries in this folder. */
export function libraries(folder) {
  const require = createRequire(join(folder, "package.json"));
  return { chromium: require("playwright-core").chromium, axe: require("axe-core").source };
}

export class Browser {
  faults = [];

  constructor(chromium, world) {
    this.chromium = chromium;
    this.world = world;
  }

  async start() {
    this.browser = await this.chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-dev-shm-usage", `--host-resolver-rules=MAP ${FOREIGN} 127.0.0.1`],
      timeout: 60_000,
    });
  }

  /** A person without a session. */
  async stranger(options = {}) {
    const context = await this.browser.newContext({ viewport: DESKTOP, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
    context.setDefaultTimeout(PATIENCE);
    if (options.javaScriptEnabled !== false) {
      await context.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) => {
          console.error(`policy broken: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
        });
      });
    }
    context.on("page", (page) => this.watch(page));
    return context;
  }

  /** A person with a session. */
  async person(options = {}) {
    const context = await this.stranger(options);
    const page = await context.newPage();
    await page.goto(await this.world.link());
    return page;
  }

  watch(page) {
    const fault = (what) => this.faults.push(`${page.url()}: ${what}`);
    page.on("dialog", (dialog) => { fault(`a dialog: ${dialog.message()}`); dialog.dismiss().catch(() => {}); });
    page.on("pageerror", (error) => fault(`an error: ${error.message}`));
    page.on("console", (message) => {
      if (/policy|trusted/i.test(message.text())) fault(message.text());
    });
    page.on("request", (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (protocol !== "data:" && !["127.0.0.1", "localhost", FOREIGN].includes(hostname)) fault(`a request to ${request.url()}`);
    });
  }

  /** What was seen since the last call. */
  seen() {
    return this.faults.splice(0);
  }

  async stop() {
    await this.browser?.close();
  }
}
