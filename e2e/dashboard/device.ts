// A phone, over gRPC: what the dashboard's pages are about.
import { randomBytes, randomUUID } from "node:crypto";
import { after } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { refusal } from "../client/refusal.ts";
import { registration, withAppKey, withToken } from "../client/registration.ts";
import { DeviceService } from "../gen/pinger/v1/device_service_pb.ts";
import { Platform, SessionState } from "../gen/pinger/v1/session_pb.ts";
import { environment, eventually, type Push, pushesTo } from "../tests/environment.ts";

const { appKey, deviceApi } = environment;
const identityKey = Buffer.from(environment.identityKey, "base64");
const connection = new Http2SessionManager(deviceApi);
const client = createClient(DeviceService, createGrpcTransport({ baseUrl: deviceApi, sessionManager: connection }));
after(() => connection.abort());

export interface Device {
  sessionId: string;
  /** The session's id as lists show it: its first eight and last four characters. */
  shortId: string;
  userId: string;
  deviceId: string;
  context: string;
  /** “I am awake, hold off for so long”; with 0, go on watching. */
  defer(ms: number): Promise<void>;
  /** The pushes that came, by what happened: `new_mail`, `register`, `test`. */
  pushes(event: string): Promise<Push[]>;
  /** Waits for a push. */
  pushed(event: string): Promise<Push>;
  /** The reason for which the server refuses the device. */
  refused(): Promise<string>;
}

/** What may be another than usual. */
export interface Wish {
  userId?: string;
  deviceId?: string;
  /** Where the mail server is. */
  port?: number;
  username?: string;
  /** In which state the session is waited for. */
  until?: SessionState;
}

/** Registers a session, on the real mailbox if nothing else is wished for, and waits until it is watched and its baseline
 * is known. */
export async function register(wish: Wish = {}): Promise<Device> {
  const until = wish.until ?? SessionState.WATCHING;
  const account = {
    userId: wish.userId ?? `u-${randomBytes(4).toString("hex")}`,
    deviceId: wish.deviceId ?? `dev-${randomUUID()}`,
    platform: Platform.IOS,
    context: `ctx-${randomUUID()}`,
    host: environment.imapHost,
    port: wish.port ?? environment.imapPort,
    username: wish.username ?? environment.imapUser,
    password: environment.imapPassword,
    apnsToken: randomBytes(32).toString("hex"),
    waitMs: 0,
  };
  const request = await registration(client, appKey, identityKey, account);
  const { sessionId, sessionToken } = await client.register(request, withAppKey(appKey));
  const call = withToken(sessionToken);
  await eventually("the session to be as it should", async () => {
    const { session } = await client.getSession({ sessionId }, call);
    return (session?.state === until && (until !== SessionState.WATCHING || session.baseline)) || undefined;
  });
  const pushes = async (event: string) => {
    const all = await pushesTo(account.apnsToken);
    return all.filter(({ payload }) => (payload["pinger"] as { event?: string } | undefined)?.event === event);
  };
  return {
    sessionId,
    shortId: `${sessionId.slice(0, 8)}…${sessionId.slice(-4)}`,
    userId: account.userId,
    deviceId: account.deviceId,
    context: account.context,
    defer: async (ms) => {
      await client.defer({ sessionId, wait: durationFromMs(ms) }, call);
    },
    pushes,
    pushed: (event) => eventually(`a push of ${event}`, async () => (await pushes(event))[0]),
    refused: () =>
      client.getSession({ sessionId }, call).then(
        () => "",
        (error: unknown) => refusal(error).reason,
      ),
  };
}
