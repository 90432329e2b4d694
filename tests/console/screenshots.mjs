// Pictures of each page, in light, in dark and on a phone, of a gateway that looks like one at work.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { DESKTOP, PHONE } from "./browser.mjs";
import { LONG_PATH, ask, until } from "./world.mjs";

// Of a longer page, the beginning says enough.
const HIGHEST = 1600;
const LOOKS = {
  light: { colorScheme: "light", viewport: DESKTOP },
  dark: { colorScheme: "dark", viewport: DESKTOP },
  phone: { colorScheme: "light", viewport: PHONE, isMobile: true, deviceScaleFactor: 2 },
};

/** Traffic for a while, so that the chart has something to show. */
async function traffic(world, seconds) {
  const end = Date.now() + seconds * 1000;
  for (let number = 0; Date.now() < end; number++) {
    const turn = number % 60;
    await world.send("/webhook/leases", JSON.stringify({ meta: { object: "leases" }, data: { id: 4000 + number, rent: 1250.5 } }),
      { forged: turn > 47 && turn % 3 === 0 });
    if (turn % 2 === 0) await world.send("/webhook/leads", JSON.stringify({ data: { id: number } }));
    if (turn % 20 === 7) await world.send("/hooks/github", JSON.stringify({ ref: "refs/heads/main", number }));
    await new Promise((resolve) => { setTimeout(resolve, 60 + 4 * turn); });
  }
}

async function prepare(world) {
  await traffic(world, Number(process.env.TRAFFIC ?? 60));
  for (const number of [1, 2, 3]) await world.dead("/webhook/leads", JSON.stringify({ data: { id: number } }));
  const dead = await world.dead("/hooks/github", JSON.stringify({
    ref: "refs/heads/main", after: "9f2c1e7d", forced: false, commits: [{ id: "9f2c1e7d", message: "Count the rooms", added: ["rooms.rs"], distance: 1.50 }],
    repository: { id: 17, full_name: "acme/rooms", private: true },
  }));
  world.app.failing.delete("/hooks/github");
  await world.dead(LONG_PATH, "{}");
  // An app that is not there: its circuit opens.
  for (let number = 0; number < 7; number++) await world.send("/hooks/down", JSON.stringify({ number }));
  await ask(world.port, { method: "POST", path: "/wp-login.php" });
  return dead;
}

export async function screenshots(world, browser, folder) {
  mkdirSync(folder, { recursive: true });
  const page = await browser.person({ viewport: DESKTOP });
  const shoot = async (places, looks = LOOKS) => {
    for (const [look, options] of Object.entries(looks)) {
      const person = await browser.person(options);
      for (const [name, place] of Object.entries(places)) {
        if (place === "") await person.context().clearCookies();
        await person.goto(world.url(place || "/"));
        await person.locator("main h1").waitFor();
        // The script has written times in local time, and the stream is there.
        if (place.startsWith("/live")) await person.getByText("Live. The newest").waitFor();
        const height = await person.evaluate(() => document.documentElement.scrollHeight);
        const clip = { x: 0, y: 0, width: options.viewport.width, height: Math.min(height, HIGHEST) };
        await person.screenshot({ path: join(folder, `${look}-${name}.png`), fullPage: true, clip });
      }
      await person.context().close();
    }
  };
  await shoot({ "0-empty-now": "/", "0-empty-live": "/live", "0-empty-refused": "/refused", "0-empty-queue": "/queue", "0-empty-dead": "/dead", "0-empty-replays": "/replays" });
  const dead = await prepare(world);
  await page.goto(world.url(`/events/${dead.id}`));
  await page.getByRole("button", { name: "Send again" }).click();
  await until("the event is delivered", async () => await world.state(dead.id) === "delivered");
  await page.goto(world.url("/replay?state=dead&route=/webhook/leads"));
  await page.getByLabel("Rate").fill("1");
  await page.getByRole("button", { name: /^Send .* again$/ }).click();
  await page.waitForURL(/\/replays\//);
  const replay = new URL(page.url()).pathname;
  await page.goto(world.url("/queue"));
  await page.getByRole("button", { name: "Pause /hooks/private" }).click();
  await world.send("/hooks/private", "{}");
  await page.goto(world.url("/live?state=refused"));
  const refused = await page.locator("#live a[href^='/requests/']").first().getAttribute("href");
  await world.send("/hooks/captured", JSON.stringify({ ref: "refs/heads/main", forced: false }), { forged: true });
  await page.goto(world.url("/live?state=refused&route=/hooks/captured"));
  const captured = await page.locator("#live a[href^='/requests/']").first().getAttribute("href");
  await shoot({
    "1-now": "/", "2-live": "/live", "3-refused": "/refused", "4-queue": "/queue", "4-queue-filtered": "/queue?state=dead", "5-dead": "/dead",
    "6-event": `/events/${dead.id}`, "6-event-tree": `/events/${dead.id}?content=tree`, "6-event-hex": `/events/${dead.id}?content=hex`, "7-request": refused, "7-captured": captured, "7-captured-tree": `${captured}?content=tree`, "8-replay": "/replay?state=dead",
    "8-replay-all": "/replay", "8-replays": "/replays", "8-progress": replay, "9-discard": "/discard?state=dead", "9-error": "/queue?since=soon",
    "9-missing": "/events/00000000000000000000000000000000", "9-no-session": "",
  });
  await page.context().close();
}
