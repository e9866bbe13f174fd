// Ways in that somebody else opens or shuts: a provider, a link for a new password, an admin.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Page } from "playwright-core";
import { closeWindowsAfterEach, openPage } from "../../dashboard/browser.ts";
import { fillSignIn, newcomer, newPerson, openMenu, overview, setUpCodes, signOut } from "../../dashboard/staff.ts";

closeWindowsAfterEach();

const provider = "Example ID";

/** Fills the form of the provider, which believes it. */
async function atProvider(page: Page, name: string, { groups = "", forged = false } = {}): Promise<void> {
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
  await page.getByLabel("Your name there").fill(name);
  await page.getByLabel("Groups").fill(groups);
  if (forged) await page.getByLabel("Sign with another key").check();
  await page.getByRole("button", { name: "Go on" }).click();
}

/** Opens the page of a member of staff, as an admin does. */
async function openPerson(admin: Page, name: string): Promise<void> {
  await admin.goto("/staff");
  const people = admin.getByRole("table", { name: "Members of staff" });
  await people.getByRole("row", { name }).getByRole("link", { name: "Change" }).click();
  await admin.getByRole("heading", { name, level: 1 }).waitFor();
}

for (const scripts of [true, false]) {
  suite(`ways in ${scripts ? "with" : "without"} scripts`, { timeout: 300_000 }, () => {
    test("whoever the provider vouches for comes in, with the role of their group", async (context) => {
      const page = await openPage({ javaScriptEnabled: scripts });
      await page.goto("/sessions?q=state:retrying");
      const link = page.getByRole("link", { name: `Sign in with ${provider}` });
      if ((await link.count()) === 0) return context.skip("This server has no provider.");
      const { name } = newPerson("helper");
      await link.click();
      await atProvider(page, name, { groups: "others helpers" });
      await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
      assert.equal(new URL(page.url()).search, "?q=state:retrying", "they are where they wanted to be");
      await (await openMenu(page, { name, password: "" })).getByText("Role: support").waitFor();
      await signOut(page, { name, password: "" });

      // The next time they are the same, and have the role that the provider's word gives now.
      await page.getByRole("link", { name: `Sign in with ${provider}` }).click();
      await atProvider(page, name);
      await overview(page).waitFor();
      await page.goto("/account");
      await page.getByText(`You sign in with ${provider}. There is no password here.`).waitFor();
    });

    test("the provider's word counts only under its own signature", async (context) => {
      const page = await openPage({ javaScriptEnabled: scripts });
      await page.goto("/sign-in");
      const link = page.getByRole("link", { name: `Sign in with ${provider}` });
      if ((await link.count()) === 0) return context.skip("This server has no provider.");
      const { name } = newPerson("forger");
      await link.click();
      await atProvider(page, name, { forged: true });
      await page.getByRole("alert").getByText(`The sign-in with ${provider} did not work.`).waitFor();
      await page.goto("/");
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      // The same name with the right signature is let in.
      await page.getByRole("link", { name: `Sign in with ${provider}` }).click();
      await atProvider(page, name);
      await overview(page).waitFor();
    });

    test("a member of staff connects their account, and leaves it again", async (context) => {
      const { page, person } = await newcomer("support", scripts);
      await page.goto("/account");
      const connect = page.getByRole("link", { name: `Connect with ${provider}` });
      if ((await connect.count()) === 0) return context.skip("This server has no provider.");
      await connect.click();
      const there = newPerson("there").name;
      await atProvider(page, there);
      await page.getByText(`You can sign in with ${provider}.`, { exact: true }).waitFor();
      await signOut(page, person);
      await page.getByRole("link", { name: `Sign in with ${provider}` }).click();
      await atProvider(page, there);
      await overview(page).waitFor();
      await (await openMenu(page, person)).getByText("Role: support").waitFor();

      await page.goto("/account");
      const leave = page.getByRole("button", { name: "Disconnect" });
      await page.locator("form", { has: leave }).getByLabel("Your present password").fill(person.password);
      await leave.click();
      await page.getByRole("link", { name: `Connect with ${provider}` }).waitFor();
    });

    test("a link from an admin sets a new password, once, and ends the sign-ins", async () => {
      const [{ page: admin }, { page, person }] = [await newcomer("admin", scripts), await newcomer("viewer", scripts)];
      await openPerson(admin, person.name);
      await admin.getByRole("button", { name: "Make a link for a new password" }).click();
      const link = await admin.locator(".ev.id").innerText();

      const own = await openPage({ javaScriptEnabled: scripts });
      await own.goto(link);
      await own.getByText(`For ${person.name}.`).waitFor();
      await own.getByLabel("New password").fill(`${person.name} is a name`);
      await own.getByRole("button", { name: "Set the password" }).click();
      await own.getByRole("alert").getByText("Take another password.").waitFor();
      const renewed = { ...person, password: newPerson("x").password };
      await own.getByLabel("New password").fill(renewed.password);
      await own.getByRole("button", { name: "Set the password" }).click();
      await own.getByText("The password is set.").waitFor();
      await fillSignIn(own, person);
      await own.getByRole("alert").getByText("That is not right.").waitFor();
      await fillSignIn(own, renewed);
      await overview(own).waitFor();

      await page.goto("/devices");
      await page.getByText("The sign-in was ended").waitFor();
      assert.equal((await own.goto(link))?.status(), 404);
      await own.getByRole("heading", { name: "This link does not work" }).waitFor();
    });

    test("whoever is shut out is out with the next click, and comes in again when they are let in", async () => {
      const [{ page: admin }, { page, person }] = [await newcomer("admin", scripts), await newcomer("support", scripts)];
      await openPerson(admin, person.name);
      const shut = admin.getByRole("button", { name: `Shut ${person.name} out` });
      await admin.locator("form", { has: shut }).getByLabel("Reason, for the audit").fill("Left the company");
      await shut.click();
      await admin.getByText("Disabled").waitFor();

      await page.goto("/sessions");
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await fillSignIn(page, person);
      await page.getByRole("alert").getByText("That is not right.").waitFor();

      await admin.getByRole("button", { name: `Let ${person.name} in again` }).click();
      await admin.getByText("May sign in", { exact: true }).waitFor();
      await fillSignIn(page, person);
      await page.getByRole("heading", { name: "Sessions", level: 1 }).waitFor();
      await admin.goto(`/audit?action=staff_disabled`);
      await admin.getByRole("row", { name: person.name }).getByText("“Left the company”").waitFor();
    });

    test("an admin switches off the second factor of whoever lost it", async () => {
      const [{ page: admin }, { page, person }] = [await newcomer("admin", scripts), await newcomer("support", scripts)];
      await setUpCodes(page, person);
      await signOut(page, person);
      await fillSignIn(page, person);
      await page.getByRole("heading", { name: "Your code" }).waitFor();
      await openPerson(admin, person.name);
      await admin.getByRole("button", { name: "Switch second factors off" }).click();
      await admin.getByRole("button", { name: "Switch second factors off" }).waitFor({ state: "detached" });
      await page.goto("/sign-in");
      await fillSignIn(page, person);
      await overview(page).waitFor();
    });
  });
}
