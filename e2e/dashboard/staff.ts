// People who use the dashboard, and the pages by which they come in.
import { randomBytes } from "node:crypto";
import type { BrowserContextOptions, Page } from "playwright-core";
import { environment, inviteLink, type Role } from "../tests/environment.ts";
import { browser, openPage } from "./browser.ts";
import { Authenticator } from "./totp.ts";

export interface Person {
  name: string;
  password: string;
}

/** Somebody whom nobody else is called like. */
export function newPerson(role: string): Person {
  return { name: `${role}-${randomBytes(4).toString("hex")}`, password: randomBytes(12).toString("base64url") };
}

/** Fills the sign-up page that is open. */
export async function fillSignUp(page: Page, { name, password }: Person): Promise<void> {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await page.getByRole("heading", { name: "Codes from an authenticator", level: 1 }).waitFor();
}

/** Fills the sign-in page; what comes then is the test's matter. */
export async function fillSignIn(page: Page, { name, password }: Person): Promise<void> {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Sets codes up on the page that offers them. */
export async function setUpCodes(page: Page, { password }: Person): Promise<{ app: Authenticator; recovery: string[] }> {
  await page.goto("/account/authenticator");
  const app = new Authenticator(await page.locator(".ev.id").innerText());
  await page.getByLabel("The code that it shows").fill(app.next());
  await page.getByLabel("Your present password").fill(password);
  await page.getByRole("button", { name: "Set up codes" }).click();
  await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
  const recovery = await page.locator(".codes li").allInnerTexts();
  await page.getByRole("link", { name: "They are kept, go on" }).click();
  return { app, recovery };
}

/** What the pages of somebody who is in have, and no other. */
export const overview = (page: Page) => page.locator('nav a[aria-current="page"]', { hasText: "Overview" });

/** A page of somebody who has just signed up. */
export async function newcomer(role: Role, scripts: boolean): Promise<{ page: Page; person: Person }> {
  const page = await openPage({ javaScriptEnabled: scripts });
  const person = newPerson(role);
  await page.goto(await inviteLink(role));
  await fillSignUp(page, person);
  return { page, person };
}

/** Signs out by the menu. */
export async function signOut(page: Page, person: Person): Promise<void> {
  await (await openMenu(page, person)).getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
}

/** Whoever is signed in already: a person, with the cookies to be given to windows. */
export interface SignedIn extends Person {
  storage: Exclude<BrowserContextOptions["storageState"], string | undefined>;
}

/** Signs somebody up and in, for the tests that are about something else. Call it before the tests begin. */
export async function signedIn(role: Role): Promise<SignedIn> {
  const person = newPerson(role);
  const window = await browser.newContext({ baseURL: environment.dashboard });
  const page = await window.newPage();
  await page.goto(await inviteLink(role));
  await fillSignUp(page, person);
  const storage = await window.storageState();
  await window.close();
  return { ...person, storage };
}

/** A page of somebody who is signed in. */
export function pageOf(person: SignedIn, options: BrowserContextOptions = {}): Promise<Page> {
  return openPage({ storageState: person.storage, ...options });
}

/** Opens the menu at the top's end. It is a popover, and needs no scripts. */
export async function openMenu(page: Page, { name }: Person) {
  const menu = page.locator("#me");
  // With scripts, what was chosen in it leaves it open.
  if (!(await menu.isVisible())) await page.getByRole("button", { name: `${name}, your menu` }).click();
  await menu.waitFor();
  return menu;
}
