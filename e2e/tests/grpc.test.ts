// A plain gRPC client in Node: HTTP/2, no browser.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, suite, test } from "node:test";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { refusal } from "../client/refusal.ts";
import { type Account, registration, withAppKey, withToken } from "../client/registration.ts";
import { DeviceService } from "../gen/pinger/v1/device_service_pb.ts";
import type { ApnsPushType } from "../gen/pinger/v1/push_pb.ts";
import { EndReason, Platform, type Session, SessionState } from "../gen/pinger/v1/session_pb.ts";
import { deliverMail, environment, eventually, pushesTo } from "./environment.ts";

const { deviceApi, appKey } = environment;
const identityKey = Buffer.from(environment.identityKey, "base64");
const connection = new Http2SessionManager(deviceApi);
const client = createClient(DeviceService, createGrpcTransport({ baseUrl: deviceApi, sessionManager: connection }));
after(() => connection.abort());

function newAccount(): Account {
  return {
    userId: "e2e-node",
    deviceId: randomUUID(),
    platform: Platform.IOS,
    context: randomUUID(),
    host: environment.imapHost,
    port: environment.imapPort,
    username: environment.imapUser,
    password: environment.imapPassword,
    apnsToken: randomBytes(32).toString("hex"),
    waitMs: 0,
  };
}

async function register(account = newAccount()) {
  const request = await registration(client, appKey, identityKey, account);
  const { sessionId, sessionToken } = await client.register(request, withAppKey(appKey));
  const state = async (): Promise<Session> => {
    const { session } = await client.getSession({ sessionId }, withToken(sessionToken));
    assert.ok(session);
    return session;
  };
  return { account, request, sessionId, sessionToken, state, call: withToken(sessionToken) };
}

async function refused(call: Promise<unknown>) {
  return refusal(
    await call.then(
      () => assert.fail("The call was not refused."),
      (error: unknown) => error,
    ),
  );
}

suite("a session over gRPC", { timeout: 90_000 }, () => {
  test("lives from Register over mail, push, and Defer to Stop", async () => {
    const { account, sessionId, state, call } = await register();

    // Mail counts as new only beyond the baseline, so that has to be known first.
    const watching = await eventually("the baseline", async () => {
      const session = await state();
      return session.baseline && session;
    });
    assert.equal(watching.state, SessionState.WATCHING);
    assert.equal(watching.sessionId, sessionId);
    assert.equal(watching.context, account.context);
    assert.equal(watching.lastError, undefined);

    await deliverMail();
    await eventually("state HOLDING", async () => (await state()).state === SessionState.HOLDING || undefined);
    const push = await eventually("the push", async () => (await pushesTo(account.apnsToken))[0]);
    assert.equal(push.topic, "org.example.mail");
    assert.equal(push.push_type, "background");
    assert.equal(push.collapse_id, sessionId);
    const payload = JSON.stringify(push.payload);
    assert.ok(payload.includes("new_mail") && payload.includes(account.context), payload);
    assert.ok(!payload.includes(account.username), "The push names the account.");

    const { session: deferred } = await client.defer({ sessionId, wait: durationFromMs(60_000) }, call);
    assert.equal(deferred?.state, SessionState.WAITING);
    const left = timestampMs(deferred.deadline!) - Date.now();
    assert.ok(left > 50_000 && left < 70_000, `The wait is over in ${left} ms.`);

    const { session: acknowledged } = await client.defer({ sessionId, wait: durationFromMs(0) }, call);
    assert.equal(acknowledged?.state, SessionState.WATCHING);

    await client.stop({ sessionId }, call);
    await client.stop({ sessionId }, call);
    const ended = await state();
    assert.equal(ended.state, SessionState.ENDED);
    assert.equal(ended.endReason, EndReason.STOPPED);
    assert.equal((await refused(client.defer({ sessionId }, call))).reason, "SESSION_ENDED");
  });

  test("is the same when the same request comes again, and another when another comes", async () => {
    const { account, request, sessionId, state } = await register();
    assert.equal((await client.register(request, withAppKey(appKey))).sessionId, sessionId);

    const successor = await register(account);
    assert.notEqual(successor.sessionId, sessionId);
    assert.equal((await refused(state())).reason, "TOKEN_DEAD");
    await client.stop({ sessionId: successor.sessionId }, successor.call);
  });

  test("can be watched until it ends", async () => {
    const { sessionId, call } = await register({ ...newAccount(), waitMs: 60_000 });
    const states: SessionState[] = [];
    for await (const { session } of client.watchSession({ sessionId }, call)) {
      states.push(session!.state);
      if (states.length === 1) await client.stop({ sessionId }, call);
    }
    assert.equal(states[0], SessionState.WAITING);
    assert.equal(states.at(-1), SessionState.ENDED);
  });
});

suite("a refusal over gRPC", { timeout: 30_000 }, () => {
  test("names every field that is wrong", async () => {
    const request = await registration(client, appKey, identityKey, newAccount());
    request.context = "abcd";
    const { server } = request.mailTarget!;
    assert.ok(server?.case === "imap");
    server.value.port = 0;
    request.pushTarget!.service!.value!.pushType = 99 as ApnsPushType;
    request.credential!.ciphertext = request.credential!.ciphertext!.subarray(1);
    const { status, reason, domain, fields } = await refused(client.register(request, withAppKey(appKey)));
    assert.deepEqual([status, reason, domain], ["InvalidArgument", "FIELD_INVALID", "pinger.v1"]);
    assert.deepEqual(Object.keys(fields).sort(), [
      "context",
      "credential.ciphertext",
      "mail_target.imap.port",
      "push_target.apns.push_type",
    ]);
  });

  test("tells a missing app key from a wrong one", async () => {
    const request = await registration(client, appKey, identityKey, newAccount());
    // Functions, so that no promise is rejected before somebody waits for it.
    for (const call of [() => client.getSealingKeys({}), () => client.register(request)]) {
      const { status, reason, domain } = await refused(call());
      assert.deepEqual([status, reason, domain], ["Unauthenticated", "APP_KEY_MISSING", "pinger.v1"]);
    }
    const { status, reason } = await refused(client.getSealingKeys({}, withAppKey("wrong")));
    assert.deepEqual([status, reason], ["Unauthenticated", "APP_KEY_UNKNOWN"]);
  });

  test("tells a foreign token from a missing and a forged one", async () => {
    const mine = await register();
    const other = await register();
    const { sessionId } = other;
    for (const call of [
      () => client.getSession({ sessionId }, mine.call),
      () => client.defer({ sessionId }, mine.call),
      () => client.stop({ sessionId }, mine.call),
      () => client.watchSession({ sessionId }, mine.call)[Symbol.asyncIterator]().next(),
    ]) {
      const { status, reason, domain } = await refused(call());
      assert.deepEqual([status, reason, domain], ["PermissionDenied", "TOKEN_FOREIGN", "pinger.v1"]);
    }
    assert.notEqual((await other.state()).state, SessionState.ENDED);

    assert.equal((await refused(client.getSession({ sessionId }))).reason, "TOKEN_MISSING");
    assert.equal((await refused(client.getSession({ sessionId }, withToken("forged")))).reason, "TOKEN_INVALID");
    for (const { sessionId, call } of [mine, other]) await client.stop({ sessionId }, call);
  });

  test("meets a box that was sealed for another registration", async () => {
    const request = await registration(client, appKey, identityKey, newAccount());
    request.context = randomUUID();
    const { status, reason } = await refused(client.register(request, withAppKey(appKey)));
    assert.deepEqual([status, reason], ["InvalidArgument", "CREDENTIAL_UNREADABLE"]);
  });
});
