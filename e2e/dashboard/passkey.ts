// Passkeys: an authenticator that Chromium plays, and what somebody could do to its answers on the way.
import type { BrowserContextOptions, CDPSession, Page, Request } from "playwright-core";
import { environment } from "../tests/environment.ts";
import { openWindow } from "./browser.ts";

/** Passkeys belong to a host's name, and addresses have none. */
export const named = environment.dashboard.replace("127.0.0.1", "localhost");

/** A page of the dashboard under its name, with an authenticator that is touched, and knows its owner, at once. */
export async function pageWithAuthenticator(
  options: BrowserContextOptions = {},
): Promise<{ page: Page; tools: CDPSession; authenticatorId: string }> {
  const window = await openWindow({ baseURL: named, ...options });
  const page = await window.newPage();
  const tools = await window.newCDPSession(page);
  await tools.send("WebAuthn.enable");
  const { authenticatorId } = await tools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { page, tools, authenticatorId };
}

/** Registers a passkey on the page of one's own account. */
export async function registerPasskey(page: Page, name: string, password: string): Promise<void> {
  await page.goto("/account");
  const add = page.getByRole("button", { name: "Register a passkey" });
  const form = page.locator("form", { has: add });
  await form.getByLabel("What to call it").fill(name);
  await form.getByLabel("Your present password").fill(password);
  await add.click();
}

/** What an authenticator answers, as the page's script posts it. */
export interface Answer {
  id: string;
  response: { clientDataJSON: string; authenticatorData: string; signature: string; userHandle: string | null };
}

/** Whether a request carries what an authenticator answered. */
export const carriesAnswer = (request: Request) =>
  request.method() === "POST" && new URL(request.url()).pathname === "/sign-in/passkey";

export function answerIn(request: Request): Answer {
  return JSON.parse(new URLSearchParams(request.postData()!).get("credential")!) as Answer;
}

/** Exchanges the answer on its way to the server, once. */
export async function onTheWay(page: Page, change: (answer: Answer) => Answer): Promise<void> {
  await page.route(
    "**/sign-in/passkey",
    async (route, request) => {
      const form = new URLSearchParams(request.postData()!);
      form.set("credential", JSON.stringify(change(answerIn(request))));
      await route.continue({ postData: form.toString() });
    },
    { times: 1 },
  );
}

/** Another bit in the last byte but eight, where a signature's number is. */
export function bent(base64url: string): string {
  const bytes = Buffer.from(base64url, "base64url");
  bytes[bytes.length - 9]! ^= 1;
  return bytes.toString("base64url");
}

/** The same data of the client, but for one member. */
export function otherClientData({ id, response }: Answer, member: string, value: unknown): Answer {
  const data = JSON.parse(Buffer.from(response.clientDataJSON, "base64url").toString()) as Record<string, unknown>;
  const clientDataJSON = Buffer.from(JSON.stringify({ ...data, [member]: value })).toString("base64url");
  return { id, response: { ...response, clientDataJSON } };
}
