// What customers' apps, mail servers and colleagues write is text on every page, whatever it wants to be.
import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import type { Page } from "playwright-core";
import { closeWindowsAfterEach } from "../../dashboard/browser.ts";
import { type Device, register } from "../../dashboard/device.ts";
import { download, open, rowOf, search } from "../../dashboard/sessions.ts";
import { pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";
import { SessionState } from "../../gen/pinger/v1/session_pb.ts";
import { environment } from "../environment.ts";

closeWindowsAfterEach();

// As long as an id may be, with some digits behind it: 64 bytes.
const markup = `"><script>alert(1)</script><img/src=x/onerror=alert(2)>`;
const query = `'OR'1'='1';DROP/**/TABLE/**/session;--`;

/** A page on which a script that came as text would be noticed: closeWindowsAfterEach looks at the content policy, too. */
async function watched(person: SignedIn): Promise<{ page: Page; harmless: (text: string) => Promise<void> }> {
  const page = await pageOf(person);
  const dialogs: string[] = [];
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  const harmless = async (text: string) => {
    await page.getByText(text).first().waitFor({ state: "attached" });
    assert.deepEqual(dialogs, []);
    assert.match(await page.title(), /· Pinger$/);
    // Nothing of it is an element: neither a script of no file of ours, nor a picture, of which we have none.
    assert.equal(await page.locator("script:not([src]), img").count(), 0);
  };
  return { page, harmless };
}

suite("what others write is text", { timeout: 120_000 }, () => {
  let kim: SignedIn;
  let device: Device;
  before(async () => {
    kim = await signedIn("admin");
    const digits = () => String(Math.random()).slice(2, 9);
    const [userId, deviceId] = [`${query}${digits()}`, `${markup}${digits()}`];
    device = await register({ userId, deviceId, port: environment.scrawlGreetsPort });
  });

  test("ids of users and devices, on the list, the session, the device and the pushes", async () => {
    const { page, harmless } = await watched(kim);
    await search(page, `user:${device.userId}`);
    await rowOf(page, device).waitFor();
    await harmless(device.userId);
    await search(page, `device:${device.deviceId}`);
    await rowOf(page, device).waitFor();
    await open(page, device);
    await harmless(device.deviceId);
    await page.locator("#facts").locator("xpath=ancestor::section").getByRole("link", { name: device.deviceId }).click();
    await page.getByRole("heading", { level: 1 }).waitFor();
    await harmless(device.deviceId);
    await harmless(device.userId);
    await rowOf(page, device).first().waitFor();
  });

  test("a mail server's greeting and its refusal", async () => {
    const { page, harmless } = await watched(kim);
    await open(page, device);
    await page.getByRole("list", { name: /^Lines between Pinger/ }).getByText(environment.scrawl).waitFor();
    await harmless(environment.scrawl);

    const refused = await register({
      port: environment.scrawlRefusesPort,
      username: `scrawl-${Math.random()}`,
      until: SessionState.RETRYING,
    });
    await open(page, refused);
    await page.locator(".verdict .ev").getByText(environment.scrawl).waitFor();
    await harmless(environment.scrawl);
  });

  test("a search, a note, a view's name", async () => {
    const { page, harmless } = await watched(kim);
    for (const text of [markup, `user:${markup}`, `state:${markup}`, `colour:${query}`, `address:${query}@example.org`]) {
      await search(page, text);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await harmless("Sessions");
    }
    await page.goto(`/views?q=${encodeURIComponent(`user:${markup}`)}`);
    const name = `<b>x</b>${Math.random().toString(36).slice(2, 8)}<script>`;
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name }).waitFor();
    await harmless(name);

    await page.goto(`/sessions/${device.sessionId}/revoke`);
    await page.getByLabel("Reason").selectOption("lost");
    await page.getByLabel("Ticket or note").fill(environment.scrawl);
    await page.getByRole("button", { name: /^Revoke / }).click();
    await page.getByRole("heading", { name: /^Revoked/, level: 1 }).waitFor();
    await harmless("Revoked");
    await page.goto(`/audit?subject=${device.sessionId}`);
    await harmless(environment.scrawl);
    const { text } = await download(page, page.getByRole("link", { name: "CSV" }));
    assert.ok(text.includes("DROP TABLE"), "the file has it, and the table is there");
    await search(page, `user:${device.userId}`);
    await rowOf(page, device).waitFor();
  });
});
