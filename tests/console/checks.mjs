// What the console must do, as seen by a person with a browser. Each check is a sentence that can be false.

import assert from "node:assert/strict";
import http from "node:http";

import { FOREIGN, PHONE } from "./browser.mjs";
import { HOSTILE_MODEL, LONG_PATH, MARKUP, ask, until } from "./world.mjs";

const BIDI = "\u202e\u2066";
const PAGES = ["/", "/live", "/refused", "/queue", "/dead", "/replays", "/replay?state=dead", "/discard?state=dead"];

/** Waits until the text of the page contains this. */
async function says(page, text) {
  await page.getByText(text).first().waitFor();
}

/** The part of the page *Event* with the content. */
function contentOf(page) {
  return page.locator("section[aria-labelledby=content] .content");
}

/** A field of the filter. */
function field(page, name) {
  return page.locator("form.filter").getByLabel(name);
}

async function hasRun(page) {
  return page.evaluate(() => globalThis.ran !== undefined);
}

function path(page) {
  const { pathname, search } = new URL(page.url());
  return pathname + search;
}

async function rows(page, selector = "table.rows tbody tr") {
  return page.locator(selector).count();
}

/** What the checks share: the events that are there from the start. */
export async function prepare(world) {
  const { app } = world;
  const stored = {};
  await world.send("/webhook/leases", `{"id":1}`);
  stored.good = await world.store("/webhook/leads", `{"lead":{"name":"Ada","rooms":2.50,"tags":["a","b"]}}`);
  await world.reaches(stored.good.id, "delivered");
  app.answer = `${MARKUP}\u001b[31m${BIDI}`;
  stored.dead = await world.dead("/hooks/github", `{"ref":"refs/heads/main"}`);
  stored.second = await world.dead("/hooks/github", `{"ref":"refs/heads/next"}`);
  await world.dead(LONG_PATH, "{}");
  const hostile = { headers: { "x-hostile": `${MARKUP}${Buffer.from(BIDI).toString("latin1")}` }, query: `?q=${MARKUP.replaceAll(" ", "/")}` };
  stored.hostile = await world.dead("/webhook/odd", JSON.stringify({
    meta: { object: HOSTILE_MODEL }, [MARKUP]: MARKUP, text: `${BIDI}\u001b]0;title\u0007`,
  }), hostile);
  stored.binary = await world.store("/webhook/leads", Buffer.from([0xff, 0xfe, 0, 0x1b, 0x5b, 0x41, 0x0a, 0x3c, 0x62, 0x3e]));
  stored.large = await world.store("/webhook/leads", Buffer.alloc(25_000_000, `${MARKUP} `));
  stored.private = await world.store("/hooks/private", `{"secret":"not for the console"}`);
  await world.send("/webhook/leases", `{"id":2}`, { forged: true });
  await ask(world.port, { method: "POST", path: `/no/${LONG_PATH}?q=${MARKUP.replaceAll(" ", "/")}` });
  return stored;
}

export const CHECKS = {
  async "a script in a page without a policy would be seen"({ browser }) {
    const context = await browser.stranger();
    const page = await context.newPage();
    await page.setContent(MARKUP);
    await until("the script has run", () => hasRun(page));
    await context.close();
    assert.ok(browser.seen().some((fault) => fault.includes("a dialog: 1")));
  },

  async "a link works once"({ browser, world }) {
    const link = await world.link();
    const [first, second] = [await browser.stranger(), await browser.stranger()];
    const page = await first.newPage();
    await page.goto(link);
    assert.equal(path(page), "/");
    await says(page, "signed in as");
    const late = await second.newPage();
    assert.equal((await late.goto(link)).status(), 410);
    await says(late, "This link was used before");
    assert.equal((await late.goto(world.url("/queue"))).status(), 401);
    await says(late, "There is no session");
    const cookies = await first.cookies();
    assert.deepEqual(cookies.map(({ httpOnly, sameSite }) => [httpOnly, sameSite]), [[true, "Strict"]]);
    assert.equal(await page.evaluate(() => document.cookie), "");
    await page.getByRole("button", { name: "Log out" }).click();
    await says(page, "There is no session");
    await Promise.all([first.close(), second.close()]);
  },

  async "every page of the navigation opens, and says what it is"({ page, world }) {
    await page.goto(world.url("/"));
    for (const [name, title] of [["Live"], ["Refused"], ["Queue"], ["Dead", "Dead letters"], ["Replays"], ["Now"]]) {
      await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true }).click();
      await page.getByRole("heading", { level: 1, name: title ?? name, exact: true }).waitFor();
      assert.equal(await page.locator("header nav [aria-current=page]").textContent(), name);
      assert.equal(await page.locator("[role=alert]").count(), 0, `${name} has no error`);
    }
  },

  async "Now counts requests, refusals and dead letters"({ page, world }) {
    await page.goto(world.url("/"));
    await says(page, "signature_mismatch");
    await page.locator("svg.chart rect").first().waitFor();
    await says(page, "previous");
    const dead = page.locator(".card", { hasText: "dead letters" }).locator(".figure");
    assert.equal(await dead.textContent(), String((await world.events("state=dead")).length));
  },

  async "Refused groups equal refusals, and leads to one"({ page, world }) {
    await page.goto(world.url("/refused"));
    const row = page.locator("table.rows tbody tr", { hasText: "signature_mismatch" });
    assert.equal(await row.count(), 1);
    await row.locator("a[href^='/requests/']").click();
    await says(page, "refused: signature_mismatch");
    await says(page, "What to do");
  },

  async "filters in the URL survive reload and back"({ page, world }) {
    await page.goto(world.url("/queue"));
    await field(page, "State").selectOption("dead");
    await field(page, "Route").fill("/hooks/github");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(/state=dead/);
    const view = path(page);
    const look = async () => {
      assert.equal(path(page), view);
      assert.equal(await field(page, "State").inputValue(), "dead");
      assert.equal(await field(page, "Route").inputValue(), "/hooks/github");
      assert.equal(await rows(page), 2);
    };
    await look();
    await page.reload();
    await look();
    await page.locator("table.rows a[href^='/events/']").first().click();
    await page.getByRole("heading", { level: 1, name: "Event" }).waitFor();
    await page.goBack();
    await look();
    await page.goto(world.url("/queue?since=soon"));
    await page.getByRole("alert").waitFor();
    assert.equal(await field(page, "Received since").inputValue(), "soon", "an error does not replace the page");
  },

  async "Live filters, and the filter is in the URL"({ page, world }) {
    await page.goto(world.url("/live"));
    await field(page, "Reason").fill("signature_mismatch");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(/reason=signature_mismatch/);
    const look = async () => {
      await page.locator("#live tr").first().waitFor();
      const texts = await page.locator("#live tr").allTextContents();
      assert.ok(texts.length > 0 && texts.every((text) => text.includes("signature_mismatch")), texts.join("\n"));
    };
    await look();
    await page.reload();
    await look();
  },

  async "content is shown only when asked for, as a tree, as text and as digits"({ page, world, stored }) {
    await page.goto(world.url(`/events/${stored.good.id}`));
    await says(page, "The signature verifies");
    const content = contentOf(page);
    assert.equal(await content.count(), 0);
    assert.ok(!(await page.content()).includes("Ada"));
    await page.getByRole("link", { name: "Show as tree" }).click();
    await content.waitFor();
    assert.equal(await page.locator(".tree .key", { hasText: "rooms" }).count(), 1);
    assert.ok((await content.textContent()).includes("2.50"), "as it was sent");
    await page.getByRole("link", { name: "Show as text" }).click();
    await until("the text is shown", async () => (await contentOf(page).textContent()).startsWith(`{"lead"`));
    assert.equal(await content.textContent(), `{"lead":{"name":"Ada","rooms":2.50,"tags":["a","b"]}}`);
    await page.getByRole("link", { name: "Show as hex" }).click();
    await page.locator("section[aria-labelledby=content] .hex").waitFor();
    assert.match(await content.textContent(), /^00000000 {2}7b 22 6c 65 61 64 22/);
    await until("the log says who has looked", () => world.tail().includes("content was shown"));
  },

  async "the content of a route with console_content = \"never\" is not shown"({ page, world, stored }) {
    await page.goto(world.url(`/events/${stored.private.id}?content=text`));
    await says(page, "The route hides its content");
    assert.ok(!(await page.content()).includes("not for the console"));
    const answer = await page.request.get(world.url(`/events/${stored.private.id}/download`));
    assert.equal(answer.status(), 403);
  },

  async "a dead letter is sent again, and arrives at the app"({ page, world, stored }) {
    const { id, mark } = stored.second;
    await page.goto(world.url(`/events/${id}`));
    world.app.failing.delete("/hooks/github");
    await page.getByRole("button", { name: "Send again" }).click();
    await says(page, "Done: the event is sent again");
    await until("the app has the event", () => world.app.with(mark).length === 1);
    assert.equal(world.app.with(mark)[0].toString(), `{"ref":"refs/heads/next"}`);
    // The page says so by itself.
    await page.locator("#state .good", { hasText: "delivered" }).waitFor();
    world.app.failing.add("/hooks/github");
  },

  async "everything that matches is counted first, and then sent again; what comes later is not"({ page, world }) {
    const route = "/webhook/leads";
    const mine = [];
    for (let number = 0; number < 4; number++) mine.push(await world.dead(route, `{"group":${number}}`));
    await page.goto(world.url("/dead"));
    const row = page.locator("table.rows tbody tr", { hasText: route });
    assert.equal(await row.locator("td.number").textContent(), "4");
    await row.getByRole("link", { name: /^Send again/ }).click();
    await page.getByText("4 events match").waitFor();
    const button = page.getByRole("button", { name: "Send 4 events again" });
    const late = await world.dead(route, `{"group":"later"}`);
    world.app.failing.delete(route);
    await button.click();
    await page.waitForURL(/\/replays\//);
    await until("all have arrived", () => mine.every(({ mark }) => world.app.with(mark).length === 1));
    await page.locator("#progress .good", { hasText: "done" }).waitFor();
    await says(page, "4 of 4");
    await page.reload();
    assert.equal(world.app.with(late.mark).length, 0, "a later event does not belong to it, nor does a reload widen it");
    assert.equal(await world.state(late.id), "dead");
    await page.goto(world.url("/replay"));
    await says(page, "Choose a filter first");
    assert.equal(await page.getByRole("button", { name: /^Send .* again$/ }).count(), 0, "everything is no filter");
  },

  async "a replay is cancelled"({ page, world }) {
    const route = "/webhook/leads";
    for (let number = 0; number < 5; number++) await world.dead(route, `{"slow":${number}}`);
    await page.goto(world.url(`/replay?state=dead&route=${encodeURIComponent(route)}`));
    await page.getByLabel("Rate").fill("1");
    await page.getByRole("button", { name: /^Send \d+ events again$/ }).click();
    await page.getByRole("button", { name: "Cancel the replay" }).click();
    await says(page, "the replay is cancelled");
    await page.locator("#progress .state", { hasText: "cancelled" }).waitFor();
    await page.goto(world.url("/replays"));
    assert.equal(await page.locator("table.rows tbody tr", { hasText: "cancelled" }).count(), 1);
    world.app.failing.delete(route);
  },

  async "an event is discarded after a confirmation"({ page, world }) {
    const { id } = await world.dead("/hooks/github", `{"discard":true}`);
    await page.goto(world.url(`/events/${id}`));
    await page.getByRole("link", { name: "Discard…" }).click();
    await says(page, "1 event match");
    const button = page.getByRole("button", { name: "Discard 1 event" });
    await button.click();
    assert.ok(page.url().includes("/discard"), "without the confirmation, the form is not sent");
    await world.state(id);
    await page.getByLabel("I know that").check();
    await button.click();
    await says(page, "Done: 1 event discarded");
    assert.equal((await page.goto(world.url(`/events/${id}`))).status(), 404);
  },

  async "a paused route keeps its events, and delivers them when it goes on"({ page, world }) {
    await page.goto(world.url("/queue"));
    await page.getByRole("button", { name: "Pause /webhook/leads" }).click();
    await says(page, "are paused");
    const { id, mark } = await world.store("/webhook/leads", `{"paused":true}`);
    await page.goto(world.url(`/events/${id}`));
    await page.locator("#state", { hasText: "paused" }).waitFor();
    assert.equal(world.app.with(mark).length, 0);
    await page.goto(world.url("/queue"));
    await page.getByRole("button", { name: "Resume /webhook/leads" }).click();
    await says(page, "are resumed");
    await until("the event arrives", () => world.app.with(mark).length === 1);
  },

  async "Live shows requests as they come, and a pause stops them"({ page, world }) {
    await page.goto(world.url("/live"));
    await says(page, "Live. The newest are first.");
    const path = (name) => page.locator("#live tr", { hasText: `/live-${name}` });
    const send = (name) => ask(world.port, { method: "POST", path: `/live-${name}` });
    await send("first");
    await path("first").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await send("second");
    await says(page, "Paused. 1 more.");
    assert.equal(await path("second").count(), 0);
    await page.getByRole("button", { name: "Go on" }).click();
    await path("second").waitFor();
    assert.equal(await path("first").count(), 1);
    const first = await page.locator("#live tr").first().textContent();
    assert.ok(first.includes("/live-second"), "the newest is first");
    await send(encodeURIComponent("<script>") + MARKUP.replaceAll(" ", "/"));
    assert.equal(await hasRun(page), false);
  },

  async "what others have sent does not run, and hides nothing"({ page, world, stored }) {
    const event = `/events/${stored.hostile.id}`;
    for (const place of [event, `${event}?content=tree`, `${event}?content=text`, `${event}?content=hex`, "/queue", "/dead", "/live", "/refused", "/"]) {
      await page.goto(world.url(place));
      await page.locator("main h1").waitFor();
      assert.equal(await page.locator("main img, main script, main b").count(), 0, place);
      assert.equal(await hasRun(page), false, place);
      const text = await page.locator("body").textContent();
      assert.ok(![...BIDI, "\u001b", "\u0007"].some((character) => text.includes(character)), `${place} has a character that hides`);
    }
    await page.goto(world.url(`${event}?content=tree`));
    const text = await page.locator("main").textContent();
    for (const code of ["U+202E", "U+2066", "\\x1B", HOSTILE_MODEL, MARKUP]) assert.ok(text.includes(code), `${code} is shown as text`);
    assert.ok((await page.locator("#curl").textContent()).includes("\\342\\200\\256"), "the command has no hidden characters");
  },

  async "content that is deeper than a tree is shown, and the gateway goes on"({ page, world }) {
    const { id } = await world.store("/webhook/leads", `${"[".repeat(30_000)}${"]".repeat(30_000)}`);
    await page.goto(world.url(`/events/${id}?content=tree`));
    await says(page, "deeper than a tree shows");
    assert.equal((await page.goto(world.url("/"))).status(), 200);
  },

  async "a captured request shows its content when asked, and its command only if there is content"({ page, world }) {
    await world.send("/hooks/captured", `{"captured":"<b>1</b>"}`, { forged: true });
    await ask(world.port, { method: "POST", path: "/hooks/captured", content: "{}", headers: { "x-hub-signature-256": "short", authorization: "Bearer of-a-client" } });
    await page.goto(world.url("/live?state=refused&route=/hooks/captured"));
    const links = await page.locator("#live a[href^='/requests/']").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
    const [early, late] = links;
    await page.goto(world.url(late));
    assert.ok(!(await page.content()).includes("captured\":"));
    assert.ok((await page.locator("#verify").textContent()).startsWith("hookgate verify --route /hooks/captured"));
    await page.getByRole("link", { name: "Show as tree" }).click();
    await page.locator(".tree .key", { hasText: "captured" }).waitFor();
    assert.equal(await page.locator("main .content b").count(), 0);
    await page.getByRole("link", { name: "Show as hex" }).click();
    await page.locator(".hex").waitFor();
    await page.goto(world.url(early));
    await says(page, "No content had been read");
    const text = await page.locator("main").textContent();
    assert.ok(!text.includes("of-a-client") && text.includes("authorization"), "credentials are not kept");
    assert.equal(await page.locator("#verify").count(), 0);
    await page.goto(world.url("/refused"));
    assert.ok((await page.locator("main").textContent()).includes("capture = true"));
  },

  async "Now says first what is stopped and why, and a reason leads to its requests"({ page, world }) {
    for (let number = 0; number < 6; number++) await world.send("/hooks/down", `{"down":${number}}`);
    await until("the circuit is open", async () => (await world.api("/queue")).upstreams.some(({ circuit }) => circuit === "open"));
    await page.goto(world.url("/"));
    const stopped = page.locator("section[aria-labelledby=stopped]");
    await stopped.getByText("circuit open").waitFor();
    await stopped.getByText("Connection refused").waitFor();
    const { y, height } = await stopped.locator("li").first().boundingBox();
    assert.ok(y + height < page.viewportSize().height, "it is on the first screen");
    // What to do is about the cause that was found.
    for (let number = 0; number < 12; number++) await world.send("/hooks/github", `{"number":${number}}\n`, { signs: `{"number":${number}}` });
    await page.locator("tr", { hasText: "newline added" }).getByText("pass the body on byte for byte").waitFor();
    await page.getByRole("link", { name: "signature_mismatch" }).click();
    await page.waitForURL(/\/live\?reason=signature_mismatch/);
    assert.ok(await rows(page) > 0);
    await page.goto(world.url("/queue"));
    await page.locator("#destinations").getByText("Connection refused").waitFor();
  },

  async "names in a row of Live are code, on the page and in the stream"({ page, world }) {
    await page.goto(world.url("/live"));
    await says(page, "Live. The newest are first.");
    await ask(world.port, { method: "POST", path: "/named" });
    const row = page.locator("#live tr", { hasText: "/named" });
    await row.locator("code", { hasText: "hookgate check" }).waitFor();
    assert.ok(!(await row.textContent()).includes("`"));
    const streamed = await row.locator("td, th").evaluateAll((cells) => cells.slice(1).map((cell) => cell.innerHTML));
    await page.reload();
    assert.deepEqual(await row.locator("td, th").evaluateAll((cells) => cells.slice(1).map((cell) => cell.innerHTML)), streamed);
    assert.ok(!(await page.locator("#live").textContent()).includes("`"));
  },

  async "a page that is not seen leaves its stream to others, and misses nothing"({ browser, world }) {
    const page = await browser.person();
    const streams = [];
    page.on("request", (request) => { if (request.url().includes("/live/stream")) streams.push(request); });
    await page.goto(world.url("/live"));
    await says(page, "Live. The newest are first.");
    const show = (isHidden) => page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
    const ended = page.waitForEvent("requestfailed");
    await show(true);
    assert.ok((await ended).url().includes("/live/stream"));
    await ask(world.port, { method: "POST", path: "/unseen" });
    await show(false);
    await page.locator("#live tr", { hasText: "/unseen" }).waitFor();
    assert.equal(streams.length, 2);
    await page.context().close();
  },

  async "a part is kept up to date under the focus, and what was opened stays open"({ page, world, stored }) {
    await page.goto(world.url("/"));
    await page.locator("#now a[href='/refused']").first().focus();
    const count = () => page.locator(".card", { hasText: "refused" }).locator(".figure").textContent().then(Number);
    const before = await count();
    await world.send("/webhook/leases", "{}", { forged: true });
    await until("the number is of now", async () => await count() > before, 30_000);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), "/refused");
    await page.goto(world.url(`/events/${stored.hostile.id}`));
    await page.locator("#timeline summary").first().click();
    await page.evaluate(() => { document.activeElement.blur(); document.querySelector("#timeline p").textContent = "changed"; });
    await until("the part is read again", async () => !(await page.locator("#timeline").textContent()).includes("changed"));
    assert.ok(await page.locator("#timeline details").first().evaluate((details) => details.open));
  },

  async "an action waits for a count if its filter was edited"({ page, world }) {
    for (const [place, button] of [["/replay?state=dead", /^Send \d+ events again$/], ["/discard?state=dead", /^Discard \d+ events$/]]) {
      await page.goto(world.url(place));
      const act = page.getByRole("button", { name: button });
      assert.ok(await act.isEnabled());
      await field(page, "Route").fill("/hooks/github");
      await says(page, "The filter has changed");
      assert.ok(await act.isDisabled(), place);
      await field(page, "Route").fill("");
      assert.ok(await act.isEnabled(), place);
      assert.equal(await page.locator("#uncounted").count(), 0);
      await field(page, "State").selectOption("delivered");
      assert.ok(await act.isDisabled(), place);
    }
  },

  async "a stopped gateway is seen on each page, and the page goes on when it is back"({ browser, world }) {
    const page = await browser.person();
    await page.goto(world.url("/"));
    await page.locator("#now .state.good").waitFor();
    const fail = (route) => (route.request().resourceType() === "xhr" ? route.abort("connectionrefused") : route.continue());
    await page.route("**", fail);
    await page.getByRole("alert").getByText("The gateway does not answer.").waitFor();
    await page.unroute("**");
    await until("the notice is gone", async () => await page.getByRole("alert").count() === 0);
    await page.route("**", (route) => (route.request().resourceType() === "xhr" ? route.fulfill({ status: 503, contentType: "text/html", body: "<p>full" }) : route.continue()));
    await page.getByRole("alert").getByText("The gateway answers with 503.").waitFor();
    await page.locator("#now .state.good").waitFor();
    await page.context().close();
  },

  async "a refresh of Queue reads no list"({ browser, world }) {
    const page = await browser.person();
    await page.goto(world.url("/queue?state=dead"));
    assert.ok(await rows(page) > 0);
    const answer = await page.waitForResponse((answer) => answer.request().resourceType() === "xhr");
    assert.ok(!(await answer.text()).includes("/events/"));
    assert.ok(await rows(page) > 0, "the list stays");
    await page.context().close();
  },

  async "a clock that is set back does not stop the page"({ browser, world }) {
    const page = await browser.person();
    await page.goto(world.url("/"));
    await page.evaluate(() => { const real = Date.now; Date.now = () => real() - 3 * 3600 * 1000; });
    const again = () => page.waitForRequest((request) => request.resourceType() === "xhr");
    await again();
    await again();
    await page.context().close();
  },

  async "the title of a page says what it is about, and the header in which zone its times are"({ page, world, stored }) {
    await page.goto(world.url(`/events/${stored.good.id}`));
    assert.equal(await page.title(), `Event ${stored.good.id} · hookgate`);
    assert.match(await page.locator(".zone").textContent(), /^times: Europe\/Berlin \(UTC\+\d\)$/);
  },

  async "bytes that are no text are shown as codes"({ page, world, stored }) {
    await page.goto(world.url(`/events/${stored.binary.id}?content=tree`));
    await says(page, "The content is not JSON");
    assert.equal(await contentOf(page).textContent(), "\\xFF\\xFE\\x00\\x1B[A\n<b>");
  },

  async "25 MB are shown in part, and downloaded whole"({ page, world, stored }) {
    await page.goto(world.url(`/events/${stored.large.id}?content=text`));
    await says(page, "The first 64.0 KiB are shown");
    assert.equal((await contentOf(page).textContent()).length, 64 * 1024);
    assert.equal(await hasRun(page), false);
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: /^Download/ }).click();
    const file = await download;
    assert.equal(file.suggestedFilename(), `event-${stored.large.id}.bin`);
    const answer = await page.request.get(world.url(`/events/${stored.large.id}/download`));
    assert.equal((await answer.body()).length, 25_000_000);
    assert.equal(answer.headers()["content-type"], "application/octet-stream");
    await file.cancel();
  },

  async "another host and another origin get nothing and change nothing"({ browser, world }) {
    const page = await browser.person();
    const rebound = await page.goto(world.url("/queue").replace("127.0.0.1", FOREIGN));
    assert.equal(rebound.status(), 403);
    await says(page, "the console is not at this host");
    // Another port of the same host is the same site for cookies.
    const form = (action) => `<form method="post" action="${world.url(action)}"><input name="route" value="/webhook/leads">`
      + `<button>Press</button></form>`;
    const site = http.createServer((request, answer) => {
      answer.writeHead(200, { "content-type": "text/html", "content-security-policy": "" });
      answer.end(request.url === "/frame" ? `<iframe src="${world.url("/queue")}"></iframe>` : form("/pause"));
    });
    await new Promise((resolve) => { site.listen(0, "127.0.0.1", resolve); });
    try {
      for (const host of ["127.0.0.1", "localhost", FOREIGN]) {
        const other = `http://${host}:${site.address().port}`;
        await page.goto(other);
        const [answer] = await Promise.all([page.waitForResponse(world.url("/pause")), page.getByRole("button", { name: "Press" }).click()]);
        assert.equal(answer.status(), 403, host);
        await page.goto(other);
        const read = await page.evaluate((url) => fetch(url, { credentials: "include" }).then((answer) => answer.text(), () => "refused"), world.url("/queue"));
        assert.equal(read, "refused", `${host} reads nothing`);
        const streamed = await page.evaluate((url) => new Promise((resolve) => {
          const source = new EventSource(url, { withCredentials: true });
          source.onopen = () => resolve("opened");
          source.onerror = () => { source.close(); resolve("refused"); };
        }), world.url("/live/stream"));
        assert.equal(streamed, "refused", `${host} follows no stream`);
        const [framed] = await Promise.all([page.waitForResponse(world.url("/queue")), page.goto(`${other}/frame`)]);
        assert.equal(framed.status(), 403, `${host} frames nothing`);
      }
    } finally {
      site.closeAllConnections();
      site.close();
    }
    const { upstreams } = await world.api("/queue");
    assert.ok(upstreams.every(({ paused }) => !paused), "nothing is paused");
    await page.context().close();
    // A foreign page's attempts are reported in its own console.
    browser.seen();
  },

  async "everything is reached by keyboard, and the focus is seen"({ page, world, stored }) {
    const places = [...PAGES, `/events/${stored.dead.id}?content=tree`, `/requests/${await aRequest(page, world)}`];
    // A refresh replaces elements that are counted here.
    const isRefresh = (route) => ["xhr", "eventsource"].includes(route.request().resourceType());
    await page.route("**", (route) => (isRefresh(route) ? route.abort() : route.continue()));
    for (const place of places) {
      await page.goto(world.url(place));
      await page.locator("main h1").waitFor();
      await tabThrough(page, place);
    }
    await page.unroute("**");
  },

  async "the skip link leads to the content"({ page, world }) {
    await page.goto(world.url("/queue"));
    await page.keyboard.press("Tab");
    const skip = page.locator(".skip");
    assert.ok(await skip.evaluate((link) => link === document.activeElement));
    await until("the skip link is seen", async () => (await skip.boundingBox()).x >= 0);
    await page.keyboard.press("Enter");
    await until("the content has the focus", () => page.evaluate(() => document.activeElement.id === "main"));
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.querySelector("main").contains(document.activeElement)));
  },

  async "a dead letter is found and sent again by keyboard alone"({ page, world, stored }) {
    const { id, mark } = stored.dead;
    await page.goto(world.url("/"));
    const enter = async (what, isIt) => {
      await until(what, async () => {
        await page.keyboard.press("Tab");
        return page.evaluate(isIt, id);
      });
      await page.keyboard.press("Enter");
    };
    await enter("the link to Dead", () => document.activeElement.getAttribute("href") === "/dead");
    await page.waitForURL(/\/dead$/);
    await page.keyboard.press("j");
    await until("a row has the focus", () => page.evaluate(() => document.activeElement.closest("tbody") !== null));
    await enter("the failures of the route", () => document.activeElement.getAttribute("href")?.startsWith("/queue?state=dead")
      && document.activeElement.closest("tr")?.textContent.includes("/hooks/github"));
    await page.waitForURL(/\/queue\?state=dead/);
    await enter("the event", (id) => document.activeElement.getAttribute("href") === `/events/${id}`);
    await page.waitForURL(/\/events\//);
    world.app.failing.delete("/hooks/github");
    await enter("the button", () => document.activeElement.textContent === "Send again");
    await says(page, "Done: the event is sent again");
    await until("the app has the event", () => world.app.with(mark).length === 1);
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await until("the focus is back in the page", () => page.evaluate(() => !document.querySelector("dialog").open
      && document.activeElement.closest("dialog") === null));
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.waitForURL(/\/queue$/);
    await page.keyboard.press("/");
    assert.ok(await page.evaluate(() => document.activeElement.closest("form.filter") !== null));
  },

  async "axe finds nothing serious, in light and in dark"({ browser, world, stored, axe, page }) {
    const places = [...PAGES, "/queue?state=dead", `/events/${stored.hostile.id}?content=tree`, `/events/${stored.binary.id}?content=hex`,
      `/requests/${await aRequest(page, world)}`, `/replays/${(await world.api("/replays")).replays[0].id}`, "/queue?since=soon"];
    const found = [];
    const run = async (person, place) => {
      await person.evaluate(axe);
      const { violations } = await person.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      for (const { id, impact, help, nodes } of violations) {
        if (impact !== "serious" && impact !== "critical") continue;
        found.push(`${place}: ${impact} ${id}, ${help}: ${nodes.map(({ html, any }) => `${html} ${any[0]?.message ?? ""}`).slice(0, 3).join("; ")}`);
      }
    };
    for (const colorScheme of ["light", "dark"]) {
      // The rules write elements of their own, which the policy would not let them.
      const person = await browser.person({ colorScheme, bypassCSP: true, reducedMotion: "reduce" });
      for (const place of places) {
        await person.goto(world.url(place));
        await person.locator("main h1").waitFor();
        await run(person, `${colorScheme} ${place}`);
      }
      await person.context().clearCookies();
      await person.goto(world.url("/"));
      await run(person, `${colorScheme} without a session`);
      await person.context().close();
    }
    assert.deepEqual(found, []);
    const bad = await browser.stranger({ bypassCSP: true });
    const wrong = await bad.newPage();
    await wrong.setContent(`<html lang="en"><title>t</title><main><input><p style="color:#ccc;background:#fff">too faint</p></main>`);
    await run(wrong, "a page with faults");
    await bad.close();
    assert.ok(found.length >= 2, "the rules find faults");
  },

  async "on a phone, no page scrolls to the side"({ browser, world, stored, page }) {
    const phone = await browser.person({ viewport: PHONE, isMobile: true, hasTouch: true });
    const event = `/events/${stored.hostile.id}`;
    for (const place of [...PAGES, event, `${event}?content=tree`, `${event}?content=text`, `/events/${stored.binary.id}?content=hex`,
      `/events/${stored.large.id}?content=text`, `/queue?route=${LONG_PATH}`, `/requests/${await aRequest(page, world)}`]) {
      await phone.goto(world.url(place));
      await phone.locator("main h1").waitFor();
      const [content, window] = await phone.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(content <= window, `${place} is ${content} wide, on a phone of ${window}`);
    }
    await phone.context().close();
  },

  async "without a script, lists are shown and forms work"({ browser, world, stored }) {
    const page = await browser.person({ javaScriptEnabled: false });
    await page.goto(world.url("/live"));
    assert.ok(await rows(page) > 0);
    await page.goto(world.url("/queue"));
    await field(page, "State").selectOption("delivered");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(/state=delivered/);
    await page.locator(`a[href="/events/${stored.good.id}"]`).click();
    await says(page, " UTC");
    await page.getByRole("link", { name: "Show as text" }).click();
    await says(page, "Ada");
    const { id, mark } = await world.dead("/hooks/github", `{"script":false}`);
    world.app.failing.delete("/hooks/github");
    await page.goto(world.url(`/replay?id=${id}`));
    await page.getByRole("button", { name: "Send 1 event again" }).click();
    await page.waitForURL(/\/replays\//);
    await until("the app has the event", () => world.app.with(mark).length === 1);
    await page.goto(world.url("/queue"));
    await page.getByRole("button", { name: "Pause /hooks/private" }).click();
    await says(page, "are paused");
    await page.getByRole("button", { name: "Resume /hooks/private" }).click();
    await says(page, "are resumed");
    await page.context().close();
  },

  async "the role read is offered no change, and is told why"({ browser, world, stored, page }) {
    world.reload("true", true);
    await until("a link needs the token", async () => world.link().then(() => false, () => true));
    const context = await browser.stranger();
    const reader = await context.newPage();
    await reader.goto(await world.link(world.reader));
    await says(reader, "may only read");
    for (const place of [...PAGES, `/events/${stored.hostile.id}`]) {
      await reader.goto(world.url(place));
      await reader.locator("main h1").waitFor();
      const forms = await reader.locator("form[method=post]").evaluateAll((all) => all.map((form) => form.getAttribute("action")));
      assert.deepEqual(forms, ["/logout"], place);
      const isOfChange = ["/queue", "/dead", "/replay", "/discard", "/events"].some((page) => place.startsWith(page));
      if (isOfChange) await says(reader, "the token of this session has the role read");
    }
    await reader.goto(world.url(`/events/${stored.good.id}?content=text`));
    await says(reader, "Ada");
    const form = { route: "/webhook/leads" };
    const answer = await reader.request.post(world.url("/pause"), { form, headers: { origin: world.url("") } });
    assert.equal(answer.status(), 403);
    assert.ok((await world.api("/queue")).upstreams.every(({ paused }) => !paused));
    await context.close();
    world.reload("true");
    await until("a link needs no token", async () => world.link().then(() => true, () => false));
    assert.equal((await page.goto(world.url("/"))).status(), 200);
  },

  // The last one: the console stays read-only.
  async "a read-only console offers no change and takes none"({ page, world, stored }) {
    await page.goto(world.url("/queue"));
    const pause = page.getByRole("button", { name: "Pause /webhook/leads" });
    await pause.waitFor();
    world.reload(`"read-only"`);
    const other = await page.context().newPage();
    await until("the console is read-only", async () => {
      await other.goto(world.url("/"));
      return await other.locator(".viewer .badge", { hasText: "read-only" }).count() === 1;
    });
    // This page is from before.
    const [answer] = await Promise.all([page.waitForResponse(world.url("/pause")), pause.click()]);
    assert.equal(answer.status(), 403);
    await says(page, "the console is read-only");
    assert.ok((await world.api("/queue")).upstreams.every(({ paused }) => !paused));
    for (const place of [...PAGES, `/events/${stored.hostile.id}`]) {
      await other.goto(world.url(place));
      const forms = await other.locator("form[method=post]").evaluateAll((all) => all.map((form) => form.getAttribute("action")));
      assert.deepEqual(forms, ["/logout"], place);
    }
    await other.close();
  },
};

/** The number of a request that is kept. */
async function aRequest(page, world) {
  await page.goto(world.url("/live?state=refused"));
  const link = await page.locator("#live a[href^='/requests/']").first().getAttribute("href");
  return link.split("/").pop();
}

/** Presses Tab until the focus comes round. Everything that can be used must have had the focus, and its outline must be seen. */
async function tabThrough(page, place) {
  const USABLE = "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']";
  const wanted = await page.evaluate((selector) => {
    const all = [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility() && !element.disabled);
    all.forEach((element, index) => { element.dataset.tab = String(index); });
    document.activeElement.blur();
    return all.length;
  }, USABLE);
  const had = new Set();
  for (let press = 0; press < wanted + 20 && had.size < wanted; press++) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      return { tab: element.dataset.tab, html: element.outerHTML.slice(0, 120),
        isSeen: outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2 && box.width > 0 && box.height > 0 };
    });
    if (focus === null) continue;
    assert.ok(focus.isSeen, `${place}: the focus is not seen at ${focus.html}`);
    if (focus.tab !== undefined) had.add(focus.tab);
  }
  const missing = await page.evaluate((had) => [...document.querySelectorAll("[data-tab]")]
    .filter((element) => !had.includes(element.dataset.tab)).map((element) => element.outerHTML.slice(0, 120)), [...had]);
  assert.deepEqual(missing, [], `${place}: not reached by Tab`);
}
