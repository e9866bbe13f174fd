// Every page, light and dark, wide and narrow: axe, sizes, and a picture to look at in artifacts/screenshots.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import type { Page } from "playwright-core";
import { closeWindowsAfterEach, openPage } from "../../dashboard/browser.ts";
import { type Device, register } from "../../dashboard/device.ts";
import { axe, overflow, smallTargets } from "../../dashboard/look.ts";
import { livesALittle, type View, views } from "../../dashboard/pages.ts";
import { pageWithAuthenticator } from "../../dashboard/passkey.ts";
import { pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";

closeWindowsAfterEach();

const pictures = join(import.meta.dirname, "..", "..", "artifacts", "screenshots");

/** A mouse's targets, and a finger's. */
const sizes = [
  { width: 1280, height: 900, target: 24 },
  { width: 390, height: 844, target: 44 },
];
const narrowest = 320;

let admin: SignedIn;
let device: Device;
let viewed: SignedIn;
before(async () => {
  await mkdir(pictures, { recursive: true });
  [admin, viewed, device] = [await signedIn("admin"), await signedIn("viewer"), await register()];
  const page = await pageOf(admin);
  await livesALittle(page, device);
});

/** Looks at a page as it is now, in all sizes and themes. */
async function look(page: Page, name: string): Promise<string[]> {
  const found: string[] = [];
  for (const { width, height, target } of sizes) {
    await page.setViewportSize({ width, height });
    for (const [theme, rules] of [["light", "all"], ["dark", "colours"]] as const) {
      await page.emulateMedia({ colorScheme: theme });
      const here = `${name}, ${width}, ${theme}`;
      found.push(...(await axe(page, rules)).map((fault) => `${here}: ${fault}`));
      await page.screenshot({ path: join(pictures, `${name}-${width}-${theme}.png`), fullPage: true });
    }
    found.push(...(await smallTargets(page, target)).map((fault) => `${name}, ${width}: too small: ${fault}`));
    found.push(...(await overflow(page)).map((fault) => `${name}, ${width}: too wide: ${fault}`));
  }
  await page.setViewportSize({ width: narrowest, height: 700 });
  found.push(...(await overflow(page)).map((fault) => `${name}, ${narrowest}: too wide: ${fault}`));
  return found;
}

test("what is measured would be found", { timeout: 30_000 }, async () => {
  const page = await openPage({ viewport: { width: 390, height: 844 } });
  await page.setContent(`<html lang="en"><title>Faults</title><main><h1>Faults</h1>
    <button>x</button><p><font color="#bbb">Hard to read</font></p><table width="900"><tr><td>Wide</td></tr></table></main></html>`);
  assert.match((await axe(page, "all")).join(), /^color-contrast: /);
  assert.match((await axe(page, "colours")).join(), /^color-contrast: /);
  assert.match((await smallTargets(page, 44)).join(), /^button “x”: /);
  assert.match((await overflow(page)).join(), /^9\d\d px of 390: table\./);
});

suite("axe, the sizes of targets and the width are fine", () => {
  // Calm: what moves is measured at another place each time.
  const options = { reducedMotion: "reduce" } as const;
  const opened: Record<View["open"], () => Promise<Page>> = {
    admin: () => pageOf(admin, options),
    viewer: () => pageOf(viewed, options),
    nobody: () => openPage(options),
    "with passkeys": async () => (await pageWithAuthenticator(options)).page,
  };
  for (const view of views) {
    test(`on ${view.name}`, { timeout: 60_000 }, async () => {
      const page = await opened[view.open]();
      await view.go(page, { device, viewed: viewed.name, admin });
      assert.deepEqual(await look(page, view.name), []);
    });
  }
});
