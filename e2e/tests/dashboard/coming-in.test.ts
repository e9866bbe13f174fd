// Signing up, in and out; with scripts and without.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { closeWindowsAfterEach, openPage } from "../../dashboard/browser.ts";
import {
  fillSignIn,
  fillSignUp,
  newcomer,
  newPerson,
  openMenu,
  overview,
  setUpCodes,
  signOut,
} from "../../dashboard/staff.ts";
import { environment, inviteLink } from "../environment.ts";

closeWindowsAfterEach();

test("the first admin signs up by the link that the server printed, once", { timeout: 60_000 }, async () => {
  const page = await openPage();
  const person = newPerson("first");
  await page.goto(environment.signUp);
  await page.getByText("The link makes an account with the role admin.").waitFor();
  await fillSignUp(page, person);
  await page.goto("/staff");
  await page.getByRole("row", { name: new RegExp(`${person.name} \\(you\\)`) }).getByText("Admin").waitFor();

  const other = await openPage();
  const response = await other.goto(environment.signUp);
  assert.equal(response?.status(), 404);
  await other.getByRole("heading", { name: "This link does not work" }).waitFor();
});

for (const scripts of [true, false]) {
  suite(`coming in ${scripts ? "with" : "without"} scripts`, { timeout: 300_000 }, () => {
    test("sign in with password and code, and with a recovery code that works once", async () => {
      const { page, person } = await newcomer("support", scripts);
      const { app, recovery } = await setUpCodes(page, person);
      assert.equal(recovery.length, 10);
      await signOut(page, person);

      await fillSignIn(page, person);
      await page.getByRole("heading", { name: "Your code" }).waitFor();
      await page.getByLabel("Code from your authenticator").fill("000000");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("alert").getByText("This code is not right.").waitFor();
      await page.getByLabel("Code from your authenticator").fill(app.next());
      await page.getByRole("button", { name: "Sign in" }).click();
      await overview(page).waitFor();
      await signOut(page, person);

      await fillSignIn(page, person);
      await page.getByLabel("Code from your authenticator").fill(recovery[0]!);
      await page.getByRole("button", { name: "Sign in" }).click();
      await overview(page).waitFor();
      await page.goto("/account");
      await page.getByText("9 recovery codes left.").waitFor();
      await signOut(page, person);

      await fillSignIn(page, person);
      await page.getByLabel("Code from your authenticator").fill(recovery[0]!);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("alert").getByText("This code is not right.").waitFor();
    });

    test("a wrong password and an unknown name get the same answer", async () => {
      const { person } = await newcomer("viewer", scripts);
      const answers = [];
      for (const name of [person.name, newPerson("nobody").name]) {
        const page = await openPage({ javaScriptEnabled: scripts });
        await page.goto("/sign-in");
        await fillSignIn(page, { name, password: "not the password" });
        answers.push(await page.getByRole("alert").innerText());
      }
      assert.equal(answers[0], "That is not right. Check name and password. Nothing tells which of them is wrong.");
      assert.equal(answers[0], answers[1]);
    });

    test("whoever guesses is slowed down, and told for how long", async () => {
      const { page: own, person } = await newcomer("viewer", scripts);
      await signOut(own, person);
      const page = await openPage({ javaScriptEnabled: scripts });
      await page.goto("/sign-in");
      for (let tries = 0; tries < 5; tries++) {
        await fillSignIn(page, { ...person, password: `guess number ${tries}` });
        await page.getByRole("alert").getByText("That is not right.").waitFor();
      }
      // Now the right one is not looked at, either.
      const [response] = await Promise.all([
        page.waitForResponse((answer) => answer.request().method() === "POST"),
        fillSignIn(page, person),
      ]);
      assert.equal(response.status(), 429);
      assert.match(
        await page.getByRole("alert").innerText(),
        /^Too many tries\. Wait \d+ seconds, then try again\.$/,
      );
      const seconds = Number(response.headers()["retry-after"]);
      assert.ok(seconds > 0 && seconds <= 30, `${seconds} s`);
    });

    test("after signing out, the back button shows nothing", async () => {
      const { page, person } = await newcomer("viewer", scripts);
      await page.goto("/sessions");
      await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
      await signOut(page, person);
      await page.goBack();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      assert.equal(await page.getByRole("heading", { name: "Sessions", level: 1 }).count(), 0);
    });

    test("an admin invites a colleague, who signs up in a browser of their own", async () => {
      const { page: admin } = await newcomer("admin", scripts);
      await admin.goto("/staff");
      await admin.getByLabel("Role", { exact: true }).selectOption("viewer");
      await admin.getByRole("button", { name: "Make a sign-up link" }).click();
      const link = await admin.locator(".ev.id").innerText();

      const colleague = await openPage({ javaScriptEnabled: scripts });
      const person = newPerson("colleague");
      await colleague.goto(link);
      await colleague.getByText("The link makes an account with the role viewer.").waitFor();
      await fillSignUp(colleague, person);
      const menu = await openMenu(colleague, person);
      await menu.getByText("Role: viewer").waitFor();

      await admin.goto("/staff");
      const row = admin.getByRole("table", { name: "Members of staff" }).getByRole("row", { name: person.name });
      await row.getByText("Viewer").waitFor();
      assert.equal(await admin.getByText(link).count(), 0, "the link is shown once");
    });
  });
}

suite("coming in", { timeout: 300_000 }, () => {
  test("a short password is not taken, and the name stays in its field", async () => {
    const page = await openPage();
    await page.goto(await inviteLink("viewer"));
    await page.getByLabel("Name").fill("short");
    // As somebody does whose browser doesn't look at lengths.
    await page.getByLabel("Password").evaluate((field) => field.removeAttribute("minlength"));
    await page.getByLabel("Password").fill("short");
    await page.getByRole("button", { name: "Make the account" }).click();
    await page.getByRole("alert").getByText("Take another password.").waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), "short");
  });

  test("whoever is not signed in comes back to the page that they asked for", async () => {
    const { person } = await newcomer("viewer", true);
    const page = await openPage();
    await page.goto("/sessions?q=state:retrying");
    await fillSignIn(page, person);
    await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
    assert.equal(new URL(page.url()).search, "?q=state:retrying");
  });

  test("a sign-in that was ended elsewhere is over with the next click", async () => {
    const { page, person } = await newcomer("viewer", true);
    const elsewhere = await openPage();
    await elsewhere.goto("/sign-in");
    await fillSignIn(elsewhere, person);
    await overview(elsewhere).waitFor();

    await page.goto("/account");
    await page.getByRole("button", { name: /^End the sign-in with / }).click();
    await page.getByRole("button", { name: /^End the sign-in with / }).waitFor({ state: "detached" });
    await elsewhere.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Devices" }).click();
    await elsewhere.getByText("The sign-in was ended, or was not used for a while.").waitFor();
    await fillSignIn(elsewhere, person);
    await elsewhere.getByRole("heading", { name: "Devices", level: 1 }).waitFor();
  });
});

test("the theme is chosen in the menu, and kept", { timeout: 60_000 }, async () => {
  for (const scripts of [true, false]) {
    const { page, person } = await newcomer("viewer", scripts);
    await page.goto("/sessions?q=state:retrying");
    await Promise.all([page.waitForResponse(/\/theme$/), (await openMenu(page, person)).getByRole("button", { name: "Dark" }).click()]);
    await page.locator('html[data-theme="dark"]').waitFor({ state: "attached" });
    assert.equal(new URL(page.url()).search, "?q=state:retrying", "it leads back");
    const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await Promise.all([page.waitForResponse(/\/theme$/), (await openMenu(page, person)).getByRole("button", { name: "Light" }).click()]);
    await page.locator('html[data-theme="light"]').waitFor({ state: "attached" });
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), dark);
    await page.goto("/devices");
    assert.equal(await page.locator("html").getAttribute("data-theme"), "light");
    await Promise.all([page.waitForResponse(/\/theme$/), (await openMenu(page, person)).getByRole("button", { name: "System" }).click()]);
    await page.locator("html:not([data-theme])").waitFor({ state: "attached" });
  }
});
