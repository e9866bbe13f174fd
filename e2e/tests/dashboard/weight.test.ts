// What a page costs: its bytes, and what stands before its first paint.
import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import type { Page, Route } from "playwright-core";
import { closeWindowsAfterEach, openPage } from "../../dashboard/browser.ts";
import { type Device, register } from "../../dashboard/device.ts";
import { pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";
import { eventually } from "../environment.ts";

closeWindowsAfterEach();

/** Of the design: compressed, with the bundle. */
const most = 150_000;

// Set by scripts/test where no bundle can be built.
const withoutBundle = process.env.PINGER_WITHOUT_BUNDLE === "1";

/** What is transferred until a page and all that it loads are there, with nothing kept from before: bytes by path. */
async function transferred(page: Page, path: string): Promise<Map<string, number>> {
  const tools = await page.context().newCDPSession(page);
  await tools.send("Network.enable");
  await tools.send("Network.setCacheDisabled", { cacheDisabled: true });
  const [paths, sizes] = [new Map<string, string>(), new Map<string, number>()];
  tools.on("Network.responseReceived", ({ requestId, response }) => paths.set(requestId, new URL(response.url).pathname));
  tools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const of = paths.get(requestId);
    if (of) sizes.set(of, (sizes.get(of) ?? 0) + encodedDataLength);
  });
  await page.goto(path);
  // The bundle is asked for last.
  const hasBundle = !withoutBundle && (await page.locator("script[data-wasm]").count()) > 0;
  await eventually(`all of ${path}`, async () => !hasBundle || [...sizes.keys()].some((of) => of.endsWith(".wasm")) || undefined);
  await tools.detach();
  return sizes;
}

/** Whether something of the page's own is painted. */
const painted = (page: Page) =>
  page.evaluate(() => performance.getEntriesByName("first-contentful-paint").length > 0);

suite("what a page costs", { timeout: 120_000 }, () => {
  let admin: SignedIn;
  let device: Device;
  before(async () => {
    [admin, device] = [await signedIn("admin"), await register()];
  });

  test("each page is under 150 kB with all that it loads", async () => {
    const here = `/sessions/${device.sessionId}`;
    const paths = ["/", "/sessions", here, `${here}/revoke`, "/devices", `/devices/${device.userId}/${device.deviceId}`,
      "/pushes", "/staff", "/audit", "/settings", "/account", "/views", "/bulk?act=ping&all=1&q=state:holding"];
    const page = await pageOf(admin);
    const totals: Record<string, number> = {};
    for (const path of paths) {
      const sizes = await transferred(page, path);
      const kinds = [...sizes.keys()].map((of) => of.split(".").at(-1));
      assert.ok(kinds.includes("css"), `${path} has its stylesheet: ${[...sizes.keys()].join(" ")}`);
      if (!withoutBundle) assert.ok(kinds.includes("wasm"), `${path} has the bundle: ${[...sizes.keys()].join(" ")}`);
      const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      totals[path] = total;
      assert.ok(total > 1_000 && total < most, `${path}: ${JSON.stringify(Object.fromEntries(sizes))}`);
    }
    const signIn = [...(await transferred(await openPage(), "/sign-in")).values()].reduce((sum, size) => sum + size, 0);
    assert.ok(signIn < 30_000, `/sign-in: ${signIn}`);
    const heaviest = Object.entries(totals).sort(([, a], [, b]) => b - a)[0]!;
    console.log(`the heaviest page is ${heaviest[0]}: ${(heaviest[1] / 1000).toFixed(1)} kB; sign-in: ${(signIn / 1000).toFixed(1)} kB`);
  });

  test("the first paint does not wait for the bundle, but for the stylesheet", async () => {
    for (const [kept, isPainted] of [[/\/assets\/.*\.(js|wasm)$/, true], [/\/assets\/.*\.css$/, false]] as const) {
      const page = await pageOf(admin);
      const held: Route[] = [];
      await page.route(kept, (route) => void held.push(route));
      await page.goto("/", { waitUntil: "commit" });
      if (isPainted) {
        await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
        assert.ok(await page.getByRole("heading", { level: 1 }).isVisible());
        assert.ok(withoutBundle || held.length > 0, "the bundle was held");
      } else {
        await page.locator("footer.foot").waitFor({ state: "attached" });
        assert.equal(await painted(page), false, "what is measured would be found");
        assert.ok(held.length > 0);
      }
      for (const route of held) await route.continue();
      await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    }
  });
});
