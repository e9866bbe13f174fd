// What a role may not do it is not shown, and is refused when it tries all the same.
import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import { closeWindowsAfterEach } from "../../dashboard/browser.ts";
import { type Device, register } from "../../dashboard/device.ts";
import { open, postByHand } from "../../dashboard/sessions.ts";
import { pageOf, type SignedIn, signedIn } from "../../dashboard/staff.ts";

closeWindowsAfterEach();

suite("roles", { timeout: 300_000 }, () => {
  let [viewer, support, admin]: SignedIn[] = [];
  let device: Device;
  before(async () => {
    [viewer, support, admin] = [await signedIn("viewer"), await signedIn("support"), await signedIn("admin")];
    device = await register();
  });

  test("a viewer sees why, and gets no button, no file and no audit", async () => {
    const page = await pageOf(viewer!);
    await open(page, device);
    await page.getByText("You may look. Support and admins can ping, push and revoke.").waitFor();
    assert.equal(await page.getByRole("group", { name: "Actions on this session" }).count(), 0);
    assert.equal(await page.getByRole("link", { name: "Revoke…" }).count(), 0);
    await page.goto("/sessions");
    assert.equal(await page.getByRole("link", { name: /CSV/ }).count(), 0);
    await page.goto("/staff");
    assert.equal(await page.getByRole("button", { name: "Make a sign-up link" }).count(), 0);
    for (const path of ["/audit", "/audit.csv", "/sessions.csv"]) {
      assert.equal((await page.request.get(path, { maxRedirects: 0 })).status(), 403, path);
    }
    await page.goto("/audit");
    await page.getByText("Your role: viewer").waitFor();
  });

  test("a viewer who posts the forms by hand, with their own token, is refused, and the audit has it", async () => {
    const page = await pageOf(viewer!);
    await open(page, device);
    const here = `/sessions/${device.sessionId}`;
    assert.equal(await postByHand(page, "/theme", { theme: "dark", back: "/" }), 303, "the token is a good one");
    for (const act of ["ping", "test-push", "trace", "revoke"]) {
      const fields = { reason: "lost", note: "by hand" };
      assert.equal(await postByHand(page, `${here}/${act}`, fields), 403, act);
    }
    assert.equal(await postByHand(page, "/staff/invite", { role: "admin" }), 403);
    assert.equal(await device.refused(), "", "the session lives");
    assert.deepEqual(await device.pushes("test"), []);

    const audit = await pageOf(support!);
    await audit.goto(`/audit?staff=${viewer!.name}&action=forbidden`);
    for (const path of [`POST ${here}/revoke`, `POST ${here}/ping`, "POST /staff/invite", "GET /audit"]) {
      await audit.getByRole("cell", { name: path }).first().waitFor();
    }
  });

  test("support does not manage staff; an admin changes a role, and it holds from the next click on", async () => {
    const page = await pageOf(support!);
    await page.goto("/staff");
    assert.equal(await page.getByRole("link", { name: "Change" }).count(), 0);
    assert.equal(await postByHand(page, "/staff/invite", { role: "admin" }), 403);

    const boss = await pageOf(admin!);
    await boss.goto("/staff");
    const people = boss.getByRole("table", { name: "Members of staff" });
    await people.getByRole("row", { name: viewer!.name }).getByRole("link", { name: "Change" }).click();
    const role = boss.getByRole("region", { name: "Role" });
    await role.getByLabel("Role").selectOption("support");
    await role.getByLabel("Reason, for the audit").fill("Joined support");
    await boss.getByRole("button", { name: "Change the role" }).click();

    const promoted = await pageOf(viewer!);
    await open(promoted, device);
    await promoted.getByRole("button", { name: "Force ping" }).waitFor();
    await promoted.goto(`/audit?staff=${admin!.name}&action=role_changed`);
    await promoted.getByText("“Joined support”").waitFor();
  });

  test("a form without the token, or with somebody else's, changes nothing", async () => {
    const page = await pageOf(support!);
    await open(page, device);
    const here = `/sessions/${device.sessionId}`;
    const stranger = await pageOf(admin!);
    await open(stranger, device);
    const theirs = await stranger.locator('input[name="csrf"]').first().inputValue();
    for (const csrf of ["", theirs]) {
      assert.equal(await postByHand(page, `${here}/test-push`, { csrf }), 403);
    }
    assert.deepEqual(await device.pushes("test"), []);
  });
});
