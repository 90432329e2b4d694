// Runs the checks of the console, or takes pictures of its pages: see the file `run`.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Browser, libraries } from "./browser.mjs";
import { CHECKS, prepare } from "./checks.mjs";
import { screenshots } from "./screenshots.mjs";
import { World } from "./world.mjs";

// The longest time of a check, and of everything.
const OF_CHECK = 60_000;
const OF_ALL = 5 * 60_000;

const { values, positionals: [binary] } = parseArgs({
  allowPositionals: true,
  options: { libraries: { type: "string" }, screenshots: { type: "string" }, only: { type: "string" } },
});

function within(milliseconds, what, work) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds / 1000} s`)), milliseconds); });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Runs the checks. Returns how many have failed. */
async function check(world, browser, axe) {
  const stored = await prepare(world);
  const page = await browser.person();
  let [passed, failed] = [0, 0];
  for (const [name, work] of Object.entries(CHECKS)) {
    if (values.only && !name.includes(values.only)) continue;
    const began = Date.now();
    try {
      await within(OF_CHECK, name, work({ browser, page, world, stored, axe }));
      const faults = browser.seen();
      if (faults.length > 0) throw new Error(`seen on the way: ${faults.join("; ")}`);
      console.log(`ok      ${name} (${Date.now() - began} ms)`);
      passed += 1;
    } catch (error) {
      browser.seen();
      console.log(`FAILED  ${name}\n${error.stack}\nat ${page.url()}`);
      failed += 1;
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  if (passed === 0) throw new Error("there was no check");
  return failed;
}

async function main(folder) {
  const { chromium, axe } = libraries(values.libraries);
  const world = new World(binary, folder);
  const browser = new Browser(chromium, world);
  // Chromium and the gateway end also when this ends early.
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop(world, browser).finally(() => process.exit(1)));
  try {
    await world.start();
    await browser.start();
    if (values.screenshots) {
      await screenshots(world, browser, values.screenshots);
      return 0;
    }
    return await within(OF_ALL, "everything", check(world, browser, axe));
  } catch (error) {
    console.log(`${error.stack}\nthe log of the gateway ends with\n${world.tail()}`);
    return 1;
  } finally {
    await stop(world, browser);
  }
}

async function stop(world, browser) {
  await Promise.allSettled([within(10_000, "the browser ends", browser.stop()), world.stop()]);
}

const folder = mkdtempSync(join(tmpdir(), "hookgate-console-"));
const failed = await main(folder);
rmSync(folder, { recursive: true, force: true });
process.exit(failed > 0 ? 1 : 0);
