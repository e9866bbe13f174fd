// Passkeys, with an authenticator that Chromium plays; and answers that it did not give.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Page } from "playwright-core";
import { closeWindowsAfterEach } from "../../dashboard/browser.ts";
import {
  answerIn,
  type Answer,
  bent,
  carriesAnswer,
  onTheWay,
  otherClientData,
  pageWithAuthenticator,
  registerPasskey,
} from "../../dashboard/passkey.ts";
import { fillSignIn, fillSignUp, newPerson, overview, pageOf, type Person, signedIn, signOut } from "../../dashboard/staff.ts";
import { inviteLink } from "../environment.ts";

closeWindowsAfterEach();

/** Somebody with a passkey, who is signed in on the page. */
async function owner() {
  const { page, tools, authenticatorId } = await pageWithAuthenticator();
  const person = newPerson("passkey");
  await page.goto(new URL(await inviteLink("support")).pathname);
  await fillSignUp(page, person);
  await registerPasskey(page, "A key of the test", person.password);
  // It is the first second factor, so there are recovery codes now.
  await page.getByRole("heading", { name: "Recovery codes" }).first().waitFor();
  await page.getByRole("link", { name: "They are kept, go on" }).click();
  await overview(page).waitFor();
  return { page, person, tools, authenticatorId };
}

const usePasskey = (page: Page) => page.getByRole("button", { name: "Use a passkey" }).click();
const notLetIn = (page: Page) => page.getByRole("alert").getByText("This passkey did not let you in.").waitFor();

async function removePasskey(page: Page, person: Person) {
  await page.goto("/account");
  const remove = page.getByRole("button", { name: "Remove the passkey A key of the test" });
  await page.locator("form", { has: remove }).getByLabel("Your present password").fill(person.password);
  await remove.click();
  await page.getByText("The passkey lets nobody in any more.").waitFor();
}

suite("passkeys", { timeout: 300_000 }, () => {
  test("a passkey is added, and lets its owner in: alone, and after the password", async () => {
    const { page, person } = await owner();
    await page.goto("/account");
    await page.getByText("A key of the test").waitFor();
    await signOut(page, person);
    await usePasskey(page);
    await overview(page).waitFor();
    await signOut(page, person);

    await fillSignIn(page, person);
    await page.getByRole("heading", { name: "Your passkey" }).waitFor();
    await page.goto("/sessions");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await fillSignIn(page, person);
    await page.getByRole("heading", { name: "Your passkey" }).waitFor();
    await usePasskey(page);
    await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
  });

  test("an answer that was changed on the way, or is an old one, lets nobody in", async () => {
    const { page, person } = await owner();
    await signOut(page, person);
    const [first] = await Promise.all([page.waitForRequest(carriesAnswer), usePasskey(page)]);
    const used = answerIn(first);
    await overview(page).waitFor();
    await signOut(page, person);

    const changes: [string, (answer: Answer) => Answer][] = [
      ["the signature", ({ id, response }) => ({ id, response: { ...response, signature: bent(response.signature) } })],
      ["the challenge", (answer) => otherClientData(answer, "challenge", Buffer.alloc(32, 7).toString("base64url"))],
      ["the origin", (answer) => otherClientData(answer, "origin", "https://elsewhere.example")],
      ["an old answer", () => used],
    ];
    for (const [what, change] of changes) {
      await onTheWay(page, change);
      const [answered] = await Promise.all([
        page.waitForResponse((response) => carriesAnswer(response.request())),
        usePasskey(page),
      ]);
      assert.equal(answered.status(), 422, what);
      await page.waitForLoadState();
      await notLetIn(page);
    }
    // What was wrong was the change, not that the answer was looked into.
    await onTheWay(page, (answer) => answer);
    await usePasskey(page);
    await overview(page).waitFor();

    // All of them are in the audit, and it says why. Nobody's name is with them: who it was is not known.
    const audit = await pageOf(await signedIn("admin"));
    await audit.goto("/audit?action=sign_in_refused");
    for (const why of ["signature", "challenge", "origin"]) {
      await audit.getByRole("cell", { name: new RegExp(`^passkey: .*${why}`) }).first().waitFor();
    }
  });

  test("without a passkey on the device nobody is let in, and the page says so", async () => {
    const { page, person, tools, authenticatorId } = await owner();
    await signOut(page, person);
    await tools.send("WebAuthn.clearCredentials", { authenticatorId });
    await usePasskey(page);
    await page.getByRole("alert").getByText("No passkey was used").waitFor();
    assert.equal(await overview(page).count(), 0);
  });

  test("a passkey that its owner removed lets nobody in", async () => {
    const { page, person } = await owner();
    await removePasskey(page, person);
    await signOut(page, person);
    await usePasskey(page);
    await notLetIn(page);
    // Of the second factors there is none left, so the password is enough.
    await fillSignIn(page, person);
    await overview(page).waitFor();
  });

  test("where passkeys can't be had, nothing offers them", async () => {
    // By its address the dashboard has no name that a passkey could belong to.
    const page = await pageOf(await signedIn("viewer"));
    await page.goto("/account");
    await page.getByText("Passkeys need a host name.").waitFor();
    assert.equal(await page.getByRole("button", { name: "Register a passkey" }).count(), 0);
  });
});
