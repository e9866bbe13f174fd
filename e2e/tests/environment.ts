// Where the server under test is, its mailbox and its push receiver. run.mjs sets the variables.
import { setTimeout as sleep } from "node:timers/promises";

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run the tests with \`npm test\`.`);
  return value;
}

export const environment = {
  deviceApi: variable("PINGER_DEVICE_API"),
  appKey: variable("PINGER_APP_KEY"),
  identityKey: variable("PINGER_IDENTITY_KEY"),
  imapHost: variable("PINGER_IMAP_HOST"),
  imapPort: Number(variable("PINGER_IMAP_PORT")),
  imapUser: variable("PINGER_IMAP_USER"),
  imapPassword: variable("PINGER_IMAP_PASSWORD"),
  /** What the mail servers of the next two ports say: one greets so, the other refuses so whoever logs in. */
  scrawl: variable("PINGER_SCRAWL"),
  scrawlGreetsPort: Number(variable("PINGER_SCRAWL_GREETS_PORT")),
  scrawlRefusesPort: Number(variable("PINGER_SCRAWL_REFUSES_PORT")),
  deliverUrl: variable("PINGER_DELIVER_URL"),
  pushesUrl: variable("PINGER_PUSHES_URL"),
  traceUrl: variable("PINGER_TRACE_URL"),
  dashboard: variable("PINGER_DASHBOARD"),
  signUp: variable("PINGER_SIGN_UP"),
  inviteUrl: variable("PINGER_INVITE_URL"),
};

export type Role = "viewer" | "support" | "admin";

/** A link by which somebody signs up to the dashboard, as an admin makes one on the command line. */
export async function inviteLink(role: Role): Promise<string> {
  const response = await fetch(`${environment.inviteUrl}/${role}`, { method: "POST" });
  if (!response.ok) throw new Error(`No link could be made: ${response.status} ${await response.text()}`);
  return response.text();
}

/** A push as the receiver that plays Apple got it. */
export interface Push {
  token: string;
  topic: string;
  push_type: string;
  collapse_id: string;
  payload: Record<string, unknown>;
}

/** Delivers one mail to the watched mailbox. */
export async function deliverMail(): Promise<void> {
  const response = await fetch(environment.deliverUrl, { method: "POST" });
  if (!response.ok) throw new Error(`The mail could not be delivered: ${response.status} ${await response.text()}`);
}

/** The pushes for one device. */
export async function pushesTo(apnsToken: string): Promise<Push[]> {
  const response = await fetch(environment.pushesUrl);
  if (!response.ok) throw new Error(`The pushes could not be read: ${response.status} ${await response.text()}`);
  const pushes = (await response.json()) as Push[];
  return pushes.filter((push) => push.token === apnsToken);
}

/** Probes until there is something, for at most 20 seconds. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`Waited too long for ${what}.`);
    await sleep(100);
  }
}
