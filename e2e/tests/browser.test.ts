// The page in Chromium: gRPC-web from another origin, so that CORS is met, with streams, errors and sealing in the page.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, suite, test } from "node:test";
import { build } from "esbuild";
import { chromium, type Page, type Request } from "playwright-core";
import type { Refusal } from "../client/refusal.ts";
import { deliverMail, environment, eventually, pushesTo } from "./environment.ts";

const pageFolder = join(import.meta.dirname, "..", "page");
const bundle = await build({
  entryPoints: [join(pageFolder, "main.ts")],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
});
const files = new Map([
  ["/", { type: "text/html; charset=utf-8", body: await readFile(join(pageFolder, "index.html")) }],
  ["/main.js", { type: "text/javascript; charset=utf-8", body: bundle.outputFiles[0]!.contents }],
]);

const site = createServer((request, response) => {
  const file = files.get(request.url ?? "");
  response.writeHead(file ? 200 : 404, { "content-type": file?.type ?? "text/plain" }).end(file?.body);
});
// A server may allow this one origin only; any port will do where it allows them all.
site.listen(Number(new URL(process.env.PINGER_WEB_ORIGIN ?? "http://127.0.0.1:0").port), "127.0.0.1");
await once(site, "listening");
const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;

const profile = await mkdtemp(join(tmpdir(), "pinger-e2e-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.PINGER_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
  ],
});
after(async () => {
  await browser.close();
  site.close();
  await rm(profile, { recursive: true, force: true });
});

let page: Page;
let requests: Request[];
let faults: string[];
beforeEach(async () => {
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  requests = [];
  faults = [];
  page.on("request", (request) => requests.push(request));
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.goto(origin);
});
afterEach(async () => {
  await page.close();
  assert.deepEqual(faults, []);
});

const called = (method: string) => requests.filter((request) => request.url().endsWith(`DeviceService/${method}`));

/** Fills the form as a person would and sends it off. */
async function register(changes: Record<string, string> = {}) {
  const fields = {
    deviceApi: environment.deviceApi,
    appKey: environment.appKey,
    identityKey: environment.identityKey,
    context: randomUUID(),
    apnsToken: randomBytes(32).toString("hex"),
    host: environment.imapHost,
    port: String(environment.imapPort),
    username: environment.imapUser,
    password: environment.imapPassword,
    ...changes,
  };
  for (const [id, value] of Object.entries(fields)) await page.locator(`#${id}`).fill(value);
  await page.getByRole("button", { name: "Register" }).click();
  return fields;
}

/** Waits for a state to be the newest one that the stream brought, and for nothing to go wrong on the way. */
async function state(text: string) {
  const newest = page.locator("#states li:last-child", { hasText: text });
  await newest.or(page.locator("#error:not(:empty)")).first().waitFor();
  assert.equal(await page.locator("#error").textContent(), "");
}

/** Waits for what the page says of a refused call. */
async function shownError(): Promise<Refusal & { message: string }> {
  const error = page.locator("#error:not(:empty)");
  await error.waitFor();
  return JSON.parse((await error.textContent())!);
}

suite("a session in a browser", { timeout: 90_000 }, () => {
  test("shows each state as it comes, from Register over mail and push to Stop", async () => {
    assert.notEqual(new URL(environment.deviceApi).origin, origin);
    const { apnsToken, password } = await register();

    await state("WATCHING");
    // Mail counts as new only beyond the baseline, so that has to be known first.
    await eventually("the baseline", async () => {
      await page.getByRole("button", { name: "Refresh" }).click();
      return (await page.locator("#uidNext").textContent()) || undefined;
    });

    await deliverMail();
    await state("HOLDING");
    const push = await eventually("the push", async () => (await pushesTo(apnsToken))[0]);
    assert.equal(push.collapse_id, await page.locator("#session").textContent());

    await page.getByRole("button", { name: "I am awake" }).click();
    await state("WAITING");
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await state("WATCHING");
    await page.getByRole("button", { name: "Stop" }).click();
    await state("ENDED STOPPED");
    await page.getByText("The stream is over.").waitFor();

    assert.deepEqual(await page.locator("#states li").allTextContents(), [
      "WAITING",
      "WATCHING",
      "HOLDING",
      "WAITING",
      "WATCHING",
      "ENDED STOPPED",
    ]);

    const [registerCall] = called("Register");
    assert.ok(!registerCall!.postDataBuffer()!.includes(password), "The password left the page in clear.");
    const traces = requests
      .filter((request) => request.url().startsWith(environment.deviceApi))
      .map((request) => request.headers()["traceparent"]?.split("-")[1]);
    assert.match(traces[0] ?? "", /^[0-9a-f]{32}$/);
    assert.deepEqual([...new Set(traces)], [traces[0]]);
  });
});

suite("a refusal in a browser", { timeout: 60_000 }, () => {
  test("names the field that is wrong", async () => {
    await register({ context: "abcd" });
    const { status, reason, domain, fields } = await shownError();
    assert.deepEqual([status, reason, domain], ["InvalidArgument", "FIELD_INVALID", "pinger.v1"]);
    assert.deepEqual(Object.keys(fields), ["context"]);
  });

  test("names the unknown app key", async () => {
    await register({ appKey: "wrong" });
    const { status, reason } = await shownError();
    assert.deepEqual([status, reason], ["Unauthenticated", "APP_KEY_UNKNOWN"]);
  });

  test("comes from the page itself when the keys are not signed by the pinned key", async () => {
    const other = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    await register({ identityKey: other.toString("base64") });
    assert.match((await shownError()).message, /not signed by the pinned identity key/);
    assert.equal(called("GetSealingKeys").length, 1);
    assert.equal(called("Register").length, 0);
  });
});
