// Needs no server: plays the backend with node:crypto and opens its own boxes.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CredentialSchema, type SealedCredential, SealingKeySetSchema } from "../gen/pinger/v1/credential_pb.ts";
import { GetSealingKeysResponseSchema } from "../gen/pinger/v1/device_service_pb.ts";
import { associatedData, hpkeInfo, seal, signedBytes, suite, trustedSealingKey } from "./sealing.ts";

const binding = { userId: "user-1", deviceId: "device-1", context: "work-1", host: "IMAP.example.org", port: 993 };
const credential = create(CredentialSchema, {
  username: "ada@example.org",
  secret: { case: "password", value: "correct horse" },
});

const sealingPair = await suite.kem.generateKeyPair();
const identity = generateKeyPairSync("ed25519");
const pinned = new Uint8Array(Buffer.from(identity.publicKey.export({ format: "jwk" }).x!, "base64url"));

async function answer(expires = new Date(Date.now() + 60_000)) {
  const publicKey = new Uint8Array(await suite.kem.serializePublicKey(sealingPair.publicKey));
  const keySet = toBinary(
    SealingKeySetSchema,
    create(SealingKeySetSchema, { keys: [{ keyId: "k1", publicKey }], expireTime: timestampFromDate(expires) }),
  );
  const signature = new Uint8Array(sign(null, signedBytes(keySet), identity.privateKey));
  return create(GetSealingKeysResponseSchema, { keySet, signature, identityKey: pinned });
}

async function open(box: SealedCredential, aad: Uint8Array): Promise<Uint8Array> {
  const params = { recipientKey: sealingPair.privateKey, enc: box.encapsulatedKey, info: hpkeInfo };
  return new Uint8Array(await suite.open(params, box.ciphertext, aad));
}

test("a key set that the pinned key signed is trusted", async () => {
  assert.equal((await trustedSealingKey(await answer(), pinned)).keyId, "k1");
});

test("a key set is refused when it was changed, signed by another, or has expired", async () => {
  const changed = await answer();
  changed.keySet[5]! ^= 1;
  await assert.rejects(trustedSealingKey(changed, pinned), /not signed/);

  const foreign = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }).x!;
  await assert.rejects(trustedSealingKey(await answer(), Buffer.from(foreign, "base64url")), /not signed/);

  await assert.rejects(trustedSealingKey(await answer(new Date(Date.now() - 1)), pinned), /expired/);
});

test("a box holds the length, the credential and zeros up to a multiple of 256 bytes", async () => {
  const box = await seal(await trustedSealingKey(await answer(), pinned), credential, binding);
  assert.equal(box.keyId, "k1");
  assert.equal(box.encapsulatedKey.length, 32);
  assert.equal(box.ciphertext.length, 256 + 16);

  const plaintext = await open(box, associatedData(binding));
  const length = plaintext[0]! * 256 + plaintext[1]!;
  assert.deepEqual(fromBinary(CredentialSchema, plaintext.subarray(2, 2 + length)), credential);
  assert.ok(plaintext.subarray(2 + length).every((byte) => byte === 0));
});

test("the associated data is each field behind its length", () => {
  assert.equal(
    Buffer.from(associatedData(binding)).toString("latin1"),
    "\0\x06user-1\0\x08device-1\0\x06work-1\0\x10imap.example.org\0\x03993",
  );
});

test("a box opens for no other registration", async () => {
  const box = await seal(await trustedSealingKey(await answer(), pinned), credential, binding);
  await assert.rejects(open(box, associatedData({ ...binding, host: "imap.example.net" })));
});

test("the longest access token fits, and a plaintext that is full gets no more padding", async () => {
  const key = await trustedSealingKey(await answer(), pinned);
  const withToken = (length: number) =>
    create(CredentialSchema, { username: "u", secret: { case: "accessToken", value: "x".repeat(length) } });
  assert.equal((await seal(key, withToken(8192), binding)).ciphertext.length, 8448 + 16);

  const overhead = 2 + toBinary(CredentialSchema, withToken(200)).length - 200;
  assert.equal((await seal(key, withToken(256 - overhead), binding)).ciphertext.length, 256 + 16);
  assert.equal((await seal(key, withToken(257 - overhead), binding)).ciphertext.length, 512 + 16);
});
