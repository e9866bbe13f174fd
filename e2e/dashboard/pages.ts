// Every page of the dashboard, with what has to be there before it is looked at.
import type { Page } from "playwright-core";
import { environment, inviteLink } from "../tests/environment.ts";
import type { Device } from "./device.ts";
import { registerPasskey } from "./passkey.ts";
import { act, forcePing, shows } from "./sessions.ts";
import { fillSignIn, fillSignUp, newPerson, pageOf, setUpCodes, type SignedIn, signOut } from "./staff.ts";

/** A page: its name in file names, and the way to it. */
export interface View {
  name: string;
  /** By whom it is opened: an admin, a viewer, nobody; or somebody new, under the dashboard's name, with passkeys at hand. */
  open: "admin" | "viewer" | "nobody" | "with passkeys";
  go(page: Page, seen: Seen): Promise<unknown>;
}

/** What pages are about. */
export interface Seen {
  /** A real device. */
  device: Device;
  /** The name of somebody of the staff. */
  viewed: string;
  /** Whoever looks at most pages. */
  admin: SignedIn;
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

/** Posts a form to a page of ours that has no button for it here, or with a token that is not ours. */
async function post(page: Page, action: string, token?: string): Promise<void> {
  await page.evaluate(
    ([action, token]) => {
      const form = document.createElement("form");
      const csrf = document.querySelector<HTMLInputElement>('input[name="csrf"]')!.cloneNode() as HTMLInputElement;
      if (token !== undefined) csrf.value = token;
      form.append(csrf);
      document.body.append(Object.assign(form, { method: "post", action }));
      form.submit();
    },
    [action, token] as const,
  );
}

/** Orders a trace of what a search finds, and comes to the page that says how far it is. */
async function orderTrace(page: Page, query: string): Promise<void> {
  await page.goto(`/bulk?act=trace&all=1&q=${encodeURIComponent(query)}`);
  await page.getByRole("button", { name: /^Trace / }).click();
  await page.waitForURL(/\/bulk\/[0-9a-f-]+$/);
}

/** The page of something that goes on, as it is when it is loaded. */
const underWay: View["go"] = async (page) => {
  await page.route("**/live?*", (route) => route.abort());
  await orderTrace(page, "state:holding");
  await page.getByRole("button", { name: "Stop" }).waitFor();
};

const over: View["go"] = async (page, { device }) => {
  await orderTrace(page, `user:${device.userId}`);
  await shows(page, "the end of it", () => page.getByText(/1 of 1 done\./));
};

const savedView: View["go"] = async (page) => {
  await page.goto("/views?q=state:retrying+host:imap.gmail.com");
  await page.getByLabel("Name", { exact: true }).fill("Gmail retries");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Gmail retries" }).waitFor();
  await page.goto("/views");
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
  ["bulk-question", at("/bulk?act=trace&all=1&q=state:watching")],
  ["bulk-revoke", at("/bulk?act=revoke&all=1&q=state:holding")],
  ["bulk-nothing", at("/bulk?act=ping")],
  ["bulk-under-way", underWay],
  ["bulk-over", over],
  ["bulk-unknown", at("/bulk/00000000-0000-4000-8000-000000000000")],
  ["views-none", at("/views")],
  ["views-save", at("/views?q=state:retrying&sort=-since")],
  ["views-some", savedView],
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
  [
    "audit-checked",
    async (page) => {
      await page.goto("/audit");
      await page.getByRole("button", { name: "Check the chain" }).click();
      await page.getByText("The chain is whole.").waitFor();
    },
  ],
  [
    "form-too-old",
    async (page) => {
      await page.goto("/settings");
      await post(page, "/theme", "A".repeat(86));
      await page.getByRole("heading", { name: "Nothing was done" }).waitFor();
    },
  ],
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
  [
    "sign-in-slowed",
    async (page) => {
      const name = newPerson("slow").name;
      await page.goto("/sign-in");
      for (let tries = 0; tries < 6; tries++) {
        await fillSignIn(page, { name, password: "not the password" });
        await page.getByRole("alert").waitFor();
      }
      await page.getByText("Too many tries.").waitFor();
    },
  ],
  ["sign-up", async (page) => page.goto(await inviteLink("viewer"))],
  ["sign-up-dead", at("/sign-up/used")],
  [
    "reset",
    async (page, { admin, viewed }) => {
      const desk = await pageOf(admin);
      await desk.goto("/staff");
      await desk.getByRole("row", { name: viewed }).getByRole("link", { name: "Change" }).click();
      await desk.getByRole("button", { name: "Make a link for a new password" }).click();
      await page.goto(await desk.locator(".ev.id").innerText());
      await page.getByRole("heading", { name: "A new password" }).waitFor();
    },
  ],
  [
    "sign-in-code",
    async (page) => {
      const person = newPerson("codes");
      await page.goto(await inviteLink("viewer"));
      await fillSignUp(page, person);
      await setUpCodes(page, person);
      await signOut(page, person);
      await fillSignIn(page, person);
      await page.getByRole("heading", { name: "Your code" }).waitFor();
    },
  ],
];

/** Somebody new, who is signed in on the page. */
async function newcomer(page: Page) {
  const person = newPerson("passkey");
  await page.goto(new URL(await inviteLink("support")).pathname);
  await fillSignUp(page, person);
  return person;
}

const withPasskeys: Way[] = [
  ["sign-in-by-name", at("/sign-in")],
  [
    "passkey-offer",
    async (page) => {
      await newcomer(page);
      await page.goto("/account");
    },
  ],
  [
    "recovery-codes",
    async (page) => {
      await registerPasskey(page, "Laptop", (await newcomer(page)).password);
      await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
    },
  ],
  [
    "passkey-added",
    async (page) => {
      await registerPasskey(page, "Laptop", (await newcomer(page)).password);
      await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
      await page.goto("/account");
      await page.getByText("Laptop", { exact: true }).waitFor();
    },
  ],
  [
    "sign-in-passkey",
    async (page) => {
      const person = await newcomer(page);
      await registerPasskey(page, "Laptop", person.password);
      await page.getByRole("link", { name: "They are kept, go on" }).click();
      await signOut(page, person);
      await fillSignIn(page, person);
      await page.getByRole("heading", { name: "Your passkey" }).waitFor();
    },
  ],
];

const ofViewer: Way[] = [
  ["not-allowed", at("/audit")],
  ["session-viewer", (page, { device }) => page.goto(`/sessions/${device.sessionId}`)],
];

const all = (open: View["open"], ways: Way[]): View[] => ways.map(([name, go]) => ({ name, open, go }));

/** All pages. */
export const views: View[] = [
  ...all("admin", inside),
  ...all("viewer", ofViewer),
  ...all("nobody", outside),
  ...all("with passkeys", withPasskeys),
];

/** Makes things happen to a device, so that its page has something to show. */
export async function livesALittle(page: Page, device: Device): Promise<void> {
  await page.goto(`${environment.dashboard}/sessions/${device.sessionId}`);
  await act(page, "Send test push");
  await device.pushed("test");
}
