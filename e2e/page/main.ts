// A client in a browser: gRPC-web, everything else as on a phone.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { refusal } from "../client/refusal.ts";
import { registration, withAppKey, withToken } from "../client/registration.ts";
import { DeviceService } from "../gen/pinger/v1/device_service_pb.ts";
import { EndReason, Platform, SessionState } from "../gen/pinger/v1/session_pb.ts";

interface Registered {
  client: Client<typeof DeviceService>;
  sessionId: string;
  call: ReturnType<typeof withToken>;
}

let registered: Registered | undefined;

const element = (id: string) => document.getElementById(id)!;

const hex = (bytes: number) =>
  Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** One trace for all that this page does (W3C Trace Context), sampled. */
const traceId = hex(16);
const traced: Interceptor = (next) => (request) => {
  request.header.set("traceparent", `00-${traceId}-${hex(8)}-01`);
  return next(request);
};

/** Lets a button do something; what goes wrong is shown. */
async function attempt(action: () => Promise<void>) {
  element("error").textContent = "";
  try {
    await action();
  } catch (error) {
    element("error").textContent = JSON.stringify({ message: String(error), ...refusal(error) }, null, 2);
  }
}

async function register(form: FormData) {
  const text = (name: string) => String(form.get(name));
  const client = createClient(
    DeviceService,
    createGrpcWebTransport({ baseUrl: text("deviceApi"), interceptors: [traced] }),
  );
  const identityKey = Uint8Array.from(atob(text("identityKey")), (char) => char.charCodeAt(0));
  const request = await registration(client, text("appKey"), identityKey, {
    userId: "e2e-browser",
    deviceId: crypto.randomUUID(),
    platform: Platform.WEB,
    context: text("context"),
    host: text("host"),
    port: Number(text("port")),
    username: text("username"),
    password: text("password"),
    apnsToken: text("apnsToken"),
    waitMs: 2000,
  });
  const { sessionId, sessionToken } = await client.register(request, withAppKey(text("appKey")));
  registered = { client, sessionId, call: withToken(sessionToken) };
  element("session").textContent = sessionId;
  void attempt(() => watch(registered!));
}

/** Shows the states as they come. */
async function watch({ client, sessionId, call }: Registered) {
  element("stream").textContent = "Watching the session …";
  for await (const { session } of client.watchSession({ sessionId }, call)) {
    const { state, endReason } = session!;
    const text = endReason ? `${SessionState[state]} ${EndReason[endReason]}` : SessionState[state];
    // The session may change in something else than its state.
    if (element("states").lastElementChild?.textContent === text) continue;
    const line = document.createElement("li");
    line.textContent = text;
    element("states").append(line);
  }
  element("stream").textContent = "The stream is over.";
}

element("register").addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(() => register(new FormData(event.target as HTMLFormElement)));
});

function onClick(id: string, action: (registered: Registered) => Promise<unknown>) {
  element(id).addEventListener("click", () =>
    attempt(async () => {
      if (registered) await action(registered);
    }),
  );
}

onClick("refresh", async ({ client, sessionId, call }) => {
  const { session } = await client.getSession({ sessionId }, call);
  element("uidNext").textContent = String(session?.baseline?.uidNext ?? "");
});
onClick("defer", ({ client, sessionId, call }) => client.defer({ sessionId, wait: durationFromMs(60_000) }, call));
onClick("acknowledge", ({ client, sessionId, call }) => client.defer({ sessionId, wait: durationFromMs(0) }, call));
onClick("stop", ({ client, sessionId, call }) => client.stop({ sessionId }, call));
