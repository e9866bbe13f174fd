// Chromium, once for each file of tests, and windows in it: each with its own cookies, and its own address as the
// dashboard sees it.
import assert from "node:assert/strict";
import { after, afterEach } from "node:test";
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { environment } from "../tests/environment.ts";

export const browser = await chromium.launch({
  executablePath: process.env.PINGER_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
  ],
});
after(() => browser.close());

/** How long a page may take for what a test waits for. */
const patienceMs = 15_000;

/** What must not happen on any page, whatever a test is about. */
let faults: string[] = [];
let windows: BrowserContext[] = [];

/** Closes the windows that a test opened, and fails it for what went wrong in them. */
export function closeWindowsAfterEach() {
  afterEach(async () => {
    const [open, found] = [windows, faults];
    [windows, faults] = [[], []];
    for (const window of open) await window.close();
    assert.deepEqual(found, [], "Scripts failed, or the content policy was broken.");
  });
}

/** An address of nobody else (RFC 2544's), so that tries to sign in are counted for this test alone. */
function ownAddress(): string {
  const byte = () => Math.floor(Math.random() * 254) + 1;
  return `198.18.${byte()}.${byte()}`;
}

/** Fails the test for a script that fails and for whatever the content policy keeps out. */
export function observe(page: Page): void {
  page.setDefaultTimeout(patienceMs);
  page.on("pageerror", (error) => faults.push(`${page.url()}: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error" && message.text().includes("Content Security Policy")) {
      faults.push(`${page.url()}: ${message.text()}`);
    }
  });
}

/** A window with cookies of its own. Tests name pages by their paths. */
export async function openWindow(options: BrowserContextOptions = {}): Promise<BrowserContext> {
  const window = await browser.newContext({
    baseURL: environment.dashboard,
    viewport: { width: 1280, height: 900 },
    extraHTTPHeaders: { "x-forwarded-for": ownAddress() },
    ...options,
  });
  windows.push(window);
  window.on("page", observe);
  return window;
}

/** A page in a window of its own. */
export async function openPage(options: BrowserContextOptions = {}): Promise<Page> {
  return (await openWindow(options)).newPage();
}
