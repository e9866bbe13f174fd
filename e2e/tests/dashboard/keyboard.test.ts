// Without a mouse: without scripts, and with the keys that scripts add.
import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import type { Page } from "playwright-core";
import { closeWindowsAfterEach } from "../../dashboard/browser.ts";
import { type Device, register } from "../../dashboard/device.ts";
import { pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";

closeWindowsAfterEach();

interface Stop {
  /** What has the focus, as a person would call it. */
  name: string;
  /** Whether it can be seen that it has it. */
  visible: boolean;
  top: number;
}

/** Where the focus is. */
function stop(page: Page): Promise<Stop> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    // Behind the last stop it leaves the page for the browser's own bar.
    if (element === document.body) return { name: "", visible: true, top: 0 };
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const ring = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
    const label = element.getAttribute("aria-label") ?? (element as HTMLInputElement).labels?.[0]?.textContent;
    return {
      name: (label ?? element.textContent ?? "").trim().replaceAll(/\s+/g, " "),
      visible: ring && box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0,
      top: box.top + scrollY,
    };
  });
}

/** Presses Tab until something has the focus, and looks at every stop on the way. */
async function tabTo(page: Page, name: string | RegExp): Promise<Stop> {
  const passed: string[] = [];
  for (let stops = 0; stops < 120; stops++) {
    await page.keyboard.press("Tab");
    const here = await stop(page);
    assert.ok(here.visible, `the focus can't be seen on “${here.name}”`);
    if (typeof name === "string" ? here.name === name : name.test(here.name)) return here;
    passed.push(here.name);
  }
  assert.fail(`Tab never came to ${name}, but to ${passed.join(" · ")}`);
}

suite("the keyboard alone, without scripts", { timeout: 300_000 }, () => {
  let kim: SignedIn;
  let device: Device;
  before(async () => {
    [kim, device] = [await signedIn("support"), await register()];
  });

  test("the first stop leads past the menu, to the content", async () => {
    const page = await pageOf(kim, { javaScriptEnabled: false });
    await page.goto("/sessions");
    await page.keyboard.press("Tab");
    assert.equal((await stop(page)).name, "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(new URL(page.url()).hash, "#main");
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.querySelector("main")!.contains(document.activeElement)));
  });

  test("every stop can be seen, and the order is that of the page", async () => {
    const page = await pageOf(kim, { javaScriptEnabled: false });
    await page.goto("/sessions?q=state:retrying");
    const names = [];
    for (const expected of ["Skip to content", "Pinger, overview", "Overview", "Sessions"]) {
      await page.keyboard.press("Tab");
      const here = await stop(page);
      assert.ok(here.visible, here.name);
      names.push(here.name);
      assert.equal(here.name, expected);
    }
    await tabTo(page, "Find a session");
    await tabTo(page, `${kim.name}, your menu`);
    await tabTo(page, "Search sessions");
    const first = await tabTo(page, /^[0-9a-f]{8}…/);
    const second = await tabTo(page, /^[0-9a-f]{8}…/);
    assert.ok(second.top > first.top, "down the list");
  });

  test("Escape closes the menu, and the focus is where it was", async () => {
    const page = await pageOf(kim, { javaScriptEnabled: false });
    await page.goto("/");
    await tabTo(page, `${kim.name}, your menu`);
    await page.keyboard.press("Enter");
    await page.locator("#me").waitFor();
    await tabTo(page, "System");
    await page.keyboard.press("Escape");
    await page.locator("#me").waitFor({ state: "hidden" });
    assert.equal((await stop(page)).name, `${kim.name}, your menu`);
  });

  test("a session is found, pinged and revoked", async () => {
    const page = await pageOf(kim, { javaScriptEnabled: false });
    await page.goto("/");
    await tabTo(page, "Find a session");
    await page.keyboard.type(`user:${device.userId}`);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
    await tabTo(page, device.shortId);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Why no push?" }).waitFor();
    await tabTo(page, "Force ping");
    await page.keyboard.press("Enter");
    await page.getByText("The mail server answers, and has nothing new.").waitFor();

    await tabTo(page, "Revoke…");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Revoke this session?" }).waitFor();
    await tabTo(page, "Reason");
    await page.keyboard.type("Customer");
    await tabTo(page, "Ticket or note");
    await page.keyboard.type("by keyboard");
    // The safe button comes first.
    await tabTo(page, "Keep session");
    await tabTo(page, /^Revoke [0-9a-f]{8}…/);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /^Revoked/, level: 1 }).waitFor();
    assert.equal(await device.refused(), "TOKEN_DEAD");
  });
});

// Set by scripts/test where no bundle can be built.
const skip = process.env.PINGER_WITHOUT_BUNDLE === "1" ? "the server was built without its browser bundle" : false;

suite("the keys that scripts add", { skip, timeout: 120_000 }, () => {
  let kim: SignedIn;
  before(async () => {
    kim = await signedIn("support");
  });
  const live = (page: Page) => page.locator("button.standing", { hasText: "Live" }).waitFor();

  for (const colorScheme of ["light", "dark"] as const) {
    test(`they lead where they say, and the focus can be seen, ${colorScheme}`, async () => {
      const page = await pageOf(kim, { colorScheme });
      await page.goto("/");
      await live(page);
      await page.keyboard.press("?");
      const help = page.locator("dialog#keyboard[open]");
      await help.waitFor();
      assert.ok(await help.evaluate((dialog) => dialog.contains(document.activeElement)), "the focus is in the dialog");
      await page.keyboard.press("Escape");
      await help.waitFor({ state: "detached" });

      await page.keyboard.press("/");
      const field = await stop(page);
      assert.equal(field.name, "Find a session");
      assert.ok(field.visible, "the field's focus can be seen");
      await page.keyboard.type("g s?");
      assert.equal(await page.locator("#find").inputValue(), "g s?", "who types is not led away");
      assert.equal(new URL(page.url()).pathname, "/");
      await page.keyboard.press("Escape");

      await page.goto("/");
      await live(page);
      await page.keyboard.press("g");
      await page.keyboard.press("s");
      await page.waitForURL("**/sessions");
      await live(page);
      await page.keyboard.press("j");
      const row = await stop(page);
      assert.match(row.name, /^[0-9a-f]{8}…/);
      assert.ok(row.visible, "the row's focus can be seen");
    });
  }
});
