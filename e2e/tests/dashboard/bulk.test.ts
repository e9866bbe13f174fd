// Acts on many sessions at once, and the views that staff save of the list; with scripts and without.
import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import { closeWindowsAfterEach } from "../../dashboard/browser.ts";
import { register } from "../../dashboard/device.ts";
import { postByHand, rowOf, search, shows } from "../../dashboard/sessions.ts";
import { newPerson, pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";

closeWindowsAfterEach();

let kim: SignedIn;
let viewer: SignedIn;
before(async () => {
  [kim, viewer] = [await signedIn("support"), await signedIn("viewer")];
});

for (const scripts of [true, false]) {
  suite(`many at once ${scripts ? "with" : "without"} scripts`, { timeout: 300_000 }, () => {
    const pageOfKim = () => pageOf(kim, { javaScriptEnabled: scripts });
    const userId = () => newPerson("u").name;

    test("what is ticked gets a test push, and nothing else does", async () => {
      const user = userId();
      const [first, second, other] = [await register({ userId: user }), await register({ userId: user }), await register({ userId: user })];
      const page = await pageOfKim();
      await search(page, `user:${user}`);
      await rowOf(page, other).waitFor();
      for (const { shortId } of [first, second]) await page.getByRole("checkbox", { name: `Take ${shortId}` }).check();
      await page.getByRole("button", { name: "Test push…" }).click();
      await page.getByRole("heading", { name: /2 sessions\?/ }).waitFor();
      const them = page.getByRole("list", { name: "The first of them" });
      await them.getByText(first.shortId).waitFor();
      await them.getByText(second.shortId).waitFor();
      assert.equal(await them.getByText(other.shortId).count(), 0);
      assert.deepEqual(await first.pushes("test"), [], "a question does nothing");
      await page.getByRole("button", { name: /2 sessions$/ }).click();
      await page.waitForURL(/\/bulk\/[0-9a-f-]+$/);
      await shows(page, "the end of it", () => page.getByText(/2 of 2 done\./));
      await Promise.all([first.pushed("test"), second.pushed("test")]);
      assert.deepEqual(await other.pushes("test"), []);
    });

    test("all that match are revoked, with a reason, by typing how many they are", async () => {
      const user = userId();
      const devices = [await register({ userId: user }), await register({ userId: user })];
      const admin = await pageOf(await signedIn("admin"), { javaScriptEnabled: scripts });
      await search(admin, `user:${user}`);
      await rowOf(admin, devices[0]!).waitFor();
      await admin.getByRole("checkbox", { name: "all 2 that match" }).check();
      await admin.getByRole("button", { name: /^Revoke/ }).click();
      await admin.getByRole("heading", { name: "Revoke the credentials of 2 sessions?" }).waitFor();
      await admin.getByText(`user:${user}`).first().waitFor();
      await admin.getByLabel("Reason or ticket").fill("ticket 77");
      await admin.getByLabel("Type 2 to confirm").fill("3");
      const revoke = admin.locator("main, dialog[open]").getByRole("button", { name: /2 sessions$/ }).last();
      await revoke.click();
      await admin.getByRole("alert").getByText("It is about 2 sessions now.").waitFor();
      for (const device of devices) assert.equal(await device.refused(), "", "nothing was done yet");
      await admin.getByLabel("Type 2 to confirm").fill("2");
      await revoke.click();
      await admin.waitForURL(/\/bulk\/[0-9a-f-]+$/);
      await shows(admin, "the end of it", () => admin.getByText(/2 of 2 done\./));
      for (const device of devices) {
        assert.equal(await device.refused(), "TOKEN_DEAD");
        await device.pushed("register");
      }
      await admin.goto(`/audit?subject=${devices[1]!.sessionId}`);
      await admin.getByRole("row", { name: /Revoked a session/ }).getByText(/ticket 77/).waitFor();
    });

    test("without anything chosen nothing is done, and the way back is there", async () => {
      const page = await pageOfKim();
      await search(page, "state:holding");
      await page.getByRole("button", { name: "Test push…" }).click();
      await page.getByRole("heading", { name: "Nothing was chosen" }).waitFor();
      await page.getByRole("link", { name: "Back to the list" }).click();
      await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
      assert.equal(new URL(page.url()).searchParams.get("q"), "state:holding");
    });

    test("a viewer has nothing to act by, and is refused by hand", async () => {
      const device = await register();
      const page = await pageOf(viewer, { javaScriptEnabled: scripts });
      await search(page, `user:${device.userId}`);
      await rowOf(page, device).waitFor();
      assert.equal(await page.getByRole("checkbox").count(), 0);
      assert.equal(await page.getByRole("button", { name: "Test push…" }).count(), 0);
      assert.equal(await postByHand(page, "/bulk", { act: "test-push", id: device.sessionId }), 403);
      assert.equal(await postByHand(page, "/bulk", { act: "revoke", id: device.sessionId, reason: "x", number: "1" }), 403);
      assert.equal(await device.refused(), "");
      assert.deepEqual(await device.pushes("test"), []);
    });

    test("a search is saved as a view, found again, renamed and removed", async () => {
      const page = await pageOfKim();
      const name = newPerson("view").name;
      await search(page, "state:retrying host:imap.gmail.com");
      const list = page.url();
      await page.getByRole("link", { name: "Save this view" }).click();
      await page.getByLabel("Name", { exact: true }).fill(name);
      await page.getByRole("button", { name: "Save", exact: true }).click();
      const views = page.getByRole("navigation", { name: "Views" });
      await views.getByRole("link", { name }).waitFor();

      await page.goto("/sessions");
      await views.getByRole("link", { name }).click();
      await page.waitForURL(/q=/);
      assert.equal(new URL(page.url()).searchParams.get("q"), new URL(list).searchParams.get("q"));
      assert.equal(await views.getByRole("link", { name }).getAttribute("aria-current"), "page");

      await views.getByRole("link", { name: "Your views" }).click();
      await page.getByLabel(`New name of ${name}`).fill(`${name}-2`);
      await page.locator("form", { has: page.getByLabel(`New name of ${name}`) }).getByRole("button", { name: "Rename" }).click();
      await page.getByRole("link", { name: `${name}-2`, exact: true }).waitFor();
      // Views are their owner's.
      const other = await pageOf(viewer, { javaScriptEnabled: scripts });
      await other.goto("/views");
      assert.equal(await other.getByText(name).count(), 0);
      await page.getByRole("button", { name: `Remove ${name}-2` }).click();
      await page.getByRole("button", { name: `Remove ${name}-2` }).waitFor({ state: "detached" });
    });
  });
}
