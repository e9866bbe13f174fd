// Every page of the dashboard, with what has to be there before it is looked at.
import type { Page } from "playwright-core";
import { environment, inviteLink } from "../tests/environment.ts";
import type { Device } from "./device.ts";
import { act, forcePing } from "./sessions.ts";

/** A page: its name in file names, and the way to it. */
export interface View {
  name: string;
  /** For whoever is signed in, or for nobody. */
  open: "signed in" | "signed out";
  go(page: Page, seen: Seen): Promise<unknown>;
}

/** What pages are about. */
export interface Seen {
  /** A real device. */
  device: Device;
  /** The name of somebody of the staff. */
  viewed: string;
}

type Way = [name: string, go: View["go"]];

/** The first session that a search finds, of those that were made up. */
async function first(page: Page, query: string): Promise<void> {
  await page.goto(`/sessions?q=${encodeURIComponent(query)}`);
  await page.goto((await page.locator("tbody a.row").first().getAttribute("href"))!);
}

const at = (path: string) => (page: Page) => page.goto(path);

/** What somebody sees who typed something wrong. */
async function refusedSignIn(page: Page) {
  await page.goto("/sign-in");
  await page.getByLabel("Name").fill("kim");
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("alert").waitFor();
}

const ping: View["go"] = async (page, { device }) => {
  await page.goto(`/sessions/${device.sessionId}`);
  await forcePing(page);
};

const inside: Way[] = [
  ["overview", at("/")],
  ["sessions", at("/sessions")],
  ["sessions-filtered", at("/sessions?q=state:retrying")],
  ["sessions-nothing", at("/sessions?q=user:nobody+state:holding+colour:red")],
  ["session", (page) => first(page, "state:holding")],
  ["session-retrying", (page) => first(page, "state:retrying")],
  ["session-refused", (page) => first(page, "state:ended reason:credential_refused")],
  ["session-revoked", (page) => first(page, "state:ended reason:revoked")],
  ["session-real", (page, { device }) => page.goto(`/sessions/${device.sessionId}`)],
  ["session-ping", ping],
  ["session-revoke", (page, { device }) => page.goto(`/sessions/${device.sessionId}/revoke`)],
  ["devices", at("/devices")],
  ["device", (page, { device }) => page.goto(`/devices/${device.userId}/${device.deviceId}`)],
  ["pushes", at("/pushes")],
  ["pushes-gone", at("/pushes?show=gone")],
  ["staff", at("/staff")],
  [
    "staff-invite",
    async (page) => {
      await page.goto("/staff");
      await page.getByRole("button", { name: "Make a sign-up link" }).click();
      await page.locator(".ev.id").waitFor();
    },
  ],
  [
    "person",
    async (page, { viewed }) => {
      await page.goto("/staff");
      await page.getByRole("row", { name: viewed }).getByRole("link", { name: "Change" }).click();
      await page.getByRole("heading", { name: viewed }).waitFor();
    },
  ],
  ["audit", at("/audit")],
  ["settings", at("/settings")],
  ["account", at("/account")],
  ["authenticator", at("/account/authenticator")],
  [
    "menu",
    async (page) => {
      await page.goto("/settings");
      await page.locator('[popovertarget="me"]').click();
      await page.locator("#me").waitFor();
    },
  ],
  ["no-page", at("/no-such-page")],
  ["no-session", at("/sessions/019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4")],
];

const outside: Way[] = [
  ["sign-in", at("/sign-in")],
  ["sign-in-refused", refusedSignIn],
  ["sign-up", async (page) => page.goto(await inviteLink("viewer"))],
  ["sign-up-dead", at("/sign-up/used")],
];

const all = (open: View["open"], ways: Way[]): View[] => ways.map(([name, go]) => ({ name, open, go }));

/** All pages. */
export const views: View[] = [...all("signed in", inside), ...all("signed out", outside)];

/** Makes things happen to a device, so that its page has something to show. */
export async function livesALittle(page: Page, device: Device): Promise<void> {
  await page.goto(`${environment.dashboard}/sessions/${device.sessionId}`);
  await act(page, "Send test push");
  await device.pushed("test");
}
