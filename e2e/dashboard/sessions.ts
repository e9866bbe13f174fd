// The list of sessions and the page of one of them.
import assert from "node:assert/strict";
import type { Locator, Page } from "playwright-core";
import { environment, eventually } from "../tests/environment.ts";
import type { Device } from "./device.ts";

/** Searches as a person does: types into the field of the list, and presses Enter. */
export async function search(page: Page, text: string): Promise<void> {
  if (new URL(page.url(), environment.dashboard).pathname !== "/sessions") await page.goto("/sessions");
  const field = page.getByRole("searchbox", { name: "Search sessions" });
  await field.fill(text);
  await field.press("Enter");
  await page.waitForURL((url) => url.pathname !== "/sessions" || url.searchParams.get("q") === text);
}

/** The link to a session in a list. */
export function rowOf(page: Page, { shortId }: Device): Locator {
  return page.getByRole("link", { name: shortId });
}

/** The answer to a search, in one sentence. */
export function summary(page: Page): Locator {
  return page.locator(".head p");
}

/** Opens a session, and waits for its answer. */
export async function open(page: Page, { sessionId }: Device): Promise<void> {
  await page.goto(`/sessions/${sessionId}`);
  await page.getByRole("heading", { name: "Why no push?" }).waitFor();
}

/** Does something by its button on the page that is open. */
export async function act(page: Page, button: string): Promise<void> {
  await page.getByRole("group", { name: "Actions on this session" }).getByRole("button", { name: button }).click();
}

/** Forces a ping, and gives what the page says of its steps when it is over. */
export async function forcePing(page: Page): Promise<string> {
  await act(page, "Force ping");
  const run = page.getByRole("region", { name: "Forced ping" });
  await run.getByText(/from click to/).waitFor();
  return run.innerText();
}

/** Loads the page again until it shows something. */
export async function shows(page: Page, what: string, find: () => Locator): Promise<void> {
  await eventually(what, async () => {
    if (await find().first().isVisible()) return true;
    await page.reload();
    return (await find().first().isVisible()) || undefined;
  });
}

/** The value of a fact of the card “Session”. */
export function fact(page: Page, name: string): Locator {
  return page.locator("#facts").locator("xpath=ancestor::section").locator(`dt:text-is("${name}") + dd`);
}

/** What is in a file that a link gives, as text. */
export async function download(page: Page, link: Locator): Promise<{ name: string; text: string }> {
  const [file] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const stream = await file.createReadStream();
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return { name: file.suggestedFilename(), text: Buffer.concat(parts).toString("utf8") };
}

/** The token that each form of a page carries. */
export async function csrfOf(page: Page): Promise<string> {
  const token = await page.locator('input[name="csrf"]').first().inputValue();
  assert.ok(token.length >= 32, "a token that can't be guessed");
  return token;
}

/** Posts a form by hand, as somebody does who has read the page's source. */
export async function postByHand(page: Page, path: string, fields: Record<string, string> = {}): Promise<number> {
  const response = await page.request.post(path, {
    form: { csrf: await csrfOf(page), ...fields },
    headers: { origin: new URL(page.url()).origin },
    maxRedirects: 0,
  });
  return response.status();
}
