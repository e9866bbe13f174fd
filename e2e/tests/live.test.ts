// What lives in the dashboard, in Chromium: one server of this file's own, with made-up sessions, which change under the reader.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";
import { promisify } from "node:util";
import { chromium, type BrowserContext, type Page } from "playwright-core";

const demoBinary = process.env.PINGER_DEMO_BIN;
// Set by scripts/test where no bundle can be built: then the pages are there, and nothing lives.
const skip = process.env.PINGER_WITHOUT_BUNDLE === "1" ? "the server was built without its browser bundle" : false;

suite("what lives in the dashboard", { skip, timeout: 180_000 }, () => {
  let folder: string;
  let demo: ReturnType<typeof spawn>;
  let context: BrowserContext;
  let page: Page;
  let base: string;
  let seed = 1;
  const faults: string[] = [];

  const pinger = async (...words: string[]) => {
    const binary = join(dirname(demoBinary!), "pinger");
    const { stdout } = await promisify(execFile)(binary, ["--config", join(folder, "pinger.toml"), ...words]);
    return stdout;
  };
  /** More sessions, as if devices had registered. */
  const register = (sessions: number) => pinger("demo", "--sessions", String(sessions), "--seed", String(++seed));
  const standing = (text: string) => page.locator("button.standing", { hasText: text }).waitFor();

  before(async () => {
    assert.ok(demoBinary, "PINGER_DEMO_BIN is not set; run the tests with `npm test`.");
    folder = await mkdtemp(join(tmpdir(), "pinger-live-"));
    demo = spawn(demoBinary, ["--serve-e2e", "--data", folder], { stdio: ["pipe", "pipe", "inherit"] });
    const [ready] = (await once(createInterface({ input: demo.stdout! }), "line")) as [string];
    const log = await readFile(join(folder, "server.log"), "utf8");
    const line = log.split("\n").find((line) => line.includes("the dashboard takes requests"));
    const { PINGER_DASHBOARD: said } = JSON.parse(ready) as Record<string, string | undefined>;
    base = said ?? `http://${/127\.0\.0\.1:[1-9]\d*/.exec(line!)![0]}`;
    await register(400);
    const invited = JSON.parse(await pinger("staff", "invite", "--role", "admin", "--json")) as { sign_up: string };
    context = await chromium.launchPersistentContext(join(folder, "profile"), {
      executablePath: process.env.PINGER_CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
        "--disable-quic"],
      viewport: { width: 1280, height: 900 },
      timezoneId: "America/New_York",
    });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
    page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && faults.push(`${page.url()}: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`${page.url()}: ${error.stack ?? error.message}`));
    await page.goto(base + new URL(invited.sign_up, base).pathname);
    await page.fill("input[name=name]", "kim");
    for (const field of await page.locator("input[type=password]").all()) await field.fill("correct horse battery staple");
    await page.locator("main form button").first().click();
    // Somebody who leaves before the form is answered is not signed in.
    await page.waitForURL((url) => !url.pathname.startsWith("/sign-up"));
    await page.goto(base);
    await standing("Live");
  });

  after(async () => {
    await context?.close();
    if (demo && demo.exitCode === null) {
      demo.stdin!.end();
      await once(demo, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  });

  test("a page's whole transfer is small", async () => {
    const sizes = new Map<string, number>();
    const fresh = await context.newPage();
    const session = await context.newCDPSession(fresh);
    await session.send("Network.enable");
    await session.send("Network.setCacheDisabled", { cacheDisabled: true });
    const urls = new Map<string, string>();
    session.on("Network.responseReceived", (event) => urls.set(event.requestId, new URL(event.response.url).pathname));
    session.on("Network.loadingFinished", (event) => {
      const path = urls.get(event.requestId);
      if (path) sizes.set(path, event.encodedDataLength);
    });
    await fresh.goto(`${base}/sessions`);
    await fresh.locator("button.standing", { hasText: "Live" }).waitFor();
    await fresh.close();
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    console.log(`transferred: ${JSON.stringify(Object.fromEntries(sizes))}, together ${(total / 1000).toFixed(1)} kB`);
    assert.ok([...sizes.keys()].some((path) => path.endsWith(".wasm")), "the module was loaded");
    assert.ok(total < 150_000, `${total} bytes`);
  });

  test("counts change in place, and what is open and focused stays so", async () => {
    await page.goto(base);
    await standing("Live");
    const details = page.locator("details").first();
    await details.locator("summary").click();
    await page.locator(".counts a").first().focus();
    const number = page.locator(".counts strong").first();
    const [before, element] = [await number.innerText(), await number.elementHandle()];
    await register(200);
    await page.waitForFunction(([shown, text]) => (shown as HTMLElement).innerText !== text, [element, before] as const);
    assert.equal(await details.getAttribute("open"), "");
    assert.equal(await page.evaluate(() => document.activeElement?.closest(".counts") !== null), true);
  });

  test("new rows wait while the reader is further down", async () => {
    await page.goto(`${base}/sessions`);
    await standing("Live");
    await page.locator("table.cards tbody tr").nth(30).scrollIntoViewIfNeeded();
    await page.mouse.wheel(0, 300);
    await page.waitForFunction(() => document.querySelector("tbody")!.getBoundingClientRect().top < 0);
    const rows = () => page.locator("tbody tr a.row").evaluateAll((links) => links.map((link) => link.getAttribute("href")).join(" "));
    const before = await rows();
    const down = await page.evaluate(() => scrollY);
    await register(600);
    await page.locator(".held button:visible").waitFor();
    assert.match(await page.locator(".held button").innerText(), /^\d+ new, show$/);
    assert.equal(await rows(), before);
    assert.equal(await page.evaluate(() => scrollY), down);
    await page.locator(".held button").click();
    assert.notEqual(await rows(), before);
    assert.equal(await page.locator(".held button:visible").count(), 0);
  });

  test("the list is filtered while one types, and the address says so", async () => {
    await page.goto(`${base}/sessions`);
    await standing("Live");
    await page.keyboard.press("/");
    await page.keyboard.type("state:retrying");
    await page.locator(".chip.on", { hasText: "retrying" }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("q"), "state:retrying");
    assert.equal(await page.evaluate(() => (document.activeElement as HTMLInputElement).value), "state:retrying");
    const states = await page.locator("tbody .state").allInnerTexts();
    assert.ok(states.length > 0);
    await page.reload();
    assert.deepEqual(await page.locator("tbody .state").count(), states.length, "the page itself says the same");
  });

  test("keys go where they say, and can be switched off", async () => {
    await page.goto(base);
    await standing("Live");
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await page.waitForURL(`${base}/sessions`);
    await standing("Live");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    const second = await page.locator("tbody a.row").nth(1).getAttribute("href");
    await page.keyboard.press("Enter");
    await page.waitForURL(base + second);
    await standing("Live");
    await page.keyboard.press("?");
    await page.locator("dialog#keyboard[open]").waitFor();
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("dialog#keyboard[open]").count(), 0);
    await page.keyboard.press("c");
    await page.locator("[data-copied]").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), second!.split("/").pop());
    await page.locator("button[popovertarget=me]").click();
    await page.getByRole("button", { name: "Keyboard shortcuts: on" }).click();
    await page.keyboard.press("Escape");
    await page.reload();
    await standing("Live");
    await page.keyboard.press("?");
    assert.equal(await page.locator("dialog#keyboard[open]").count(), 0);
    await page.evaluate(() => localStorage.clear());
  });

  test("the theme changes without a reload, and stays", async () => {
    await page.evaluate(() => Object.assign(window, { same: true }));
    await page.locator("button[popovertarget=me]").click();
    const sent = page.waitForResponse((response) => response.url().endsWith("/theme"));
    await page.getByRole("button", { name: "Dark" }).click();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    assert.equal(await page.evaluate(() => "same" in window), true);
    await sent;
    await page.reload();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  });

  test("times are in the reader's zone, with the exact one on hover", async () => {
    await page.goto(`${base}/sessions`);
    await standing("Live");
    const time = page.locator("tbody time").first();
    const title = await time.getAttribute("title");
    assert.match(title!, /at \d\d:\d\d:\d\d (GMT-[45]|E[SD]T|UTC[-−][45]).* \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)$/);
    const at = new Date((await time.getAttribute("datetime"))!);
    const shown = at.toLocaleTimeString("en-GB", { timeZone: "America/New_York" });
    assert.ok((await time.innerText()).includes(shown.slice(0, 5)), `${await time.innerText()} is ${shown}`);
    assert.match(await page.locator("time[data-counts]").first().innerText(), /^(in .+|.+ ago|now)$/);
  });

  test("a dialog opens in place, and closes to where it was", async () => {
    await page.goto(`${base}/sessions?q=state:watching`);
    await page.locator("tbody a.row").first().click();
    await standing("Live");
    const url = page.url();
    await page.getByRole("link", { name: "Revoke…" }).click();
    const dialog = page.locator("dialog.in-place[open]");
    await dialog.waitFor();
    assert.equal(page.url(), url);
    assert.match(await dialog.innerText(), /Revoke this session/);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.match(await page.evaluate(() => document.activeElement!.textContent!), /Revoke/);
  });

  test("the stream pauses, breaks and comes back", async () => {
    await page.goto(base);
    await standing("Live");
    await page.keyboard.press("l");
    await standing("Paused");
    await page.keyboard.press("l");
    await standing("Live");
    await context.setOffline(true);
    // Chromium keeps what is open; a new stream meets the broken network.
    await page.keyboard.press("l");
    await page.keyboard.press("l");
    await standing("Reconnecting");
    await context.setOffline(false);
    await standing("Live");
    // What the broken network itself said is no fault of the page.
    faults.splice(0, faults.length, ...faults.filter((fault) => !fault.includes("ERR_INTERNET_DISCONNECTED")));
  });

  test("it ends with the sign-in", async () => {
    await page.goto(base);
    await standing("Live");
    const other = await context.newPage();
    await other.goto(base);
    await other.locator("button[popovertarget=me]").click();
    // Who leaves before the form is answered is not signed out.
    await Promise.all([other.waitForURL(/sign-in/), other.getByRole("button", { name: "Sign out" }).click()]);
    await other.close();
    await standing("Signed out");
  });

  test("nothing was said on the console, and no policy was broken", () => {
    assert.deepEqual(faults, []);
  });
});
