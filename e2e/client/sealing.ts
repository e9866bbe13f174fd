// What a device does with the sealing keys: check that they are the backend's, and seal a credential for them.
// Needs WebCrypto and HPKE only, so it runs in Node and in a browser alike.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { CipherSuite, HkdfSha256 } from "@hpke/core";
import { DhkemX25519HkdfSha256 } from "@hpke/dhkem-x25519";
import {
  type Credential,
  CredentialSchema,
  type SealedCredential,
  SealedCredentialSchema,
  type SealingKey,
  SealingKeySetSchema,
} from "../gen/pinger/v1/credential_pb.ts";
import type { GetSealingKeysResponse } from "../gen/pinger/v1/device_service_pb.ts";

/** The one suite that Pinger opens. */
export const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Chacha20Poly1305(),
});

/** Bytes that WebCrypto and HPKE take: not shared with another thread. */
type Bytes = Uint8Array<ArrayBuffer>;

/** The registration that a box is for. It opens for no other. */
export interface Binding {
  userId: string;
  deviceId: string;
  context: string;
  host: string;
  port: number;
}

const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

export const hpkeInfo = utf8("pinger.v1.Credential");

/** Padding hides how long a password is. */
const paddedTo = 256;

function concat(...parts: Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function uint16(value: number): Bytes {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** What the identity key signs. */
export function signedBytes(keySet: Uint8Array): Bytes {
  return concat(utf8("pinger.v1.SealingKeySet"), Uint8Array.of(0), keySet);
}

/** HPKE's associated data. */
export function associatedData({ userId, deviceId, context, host, port }: Binding): Bytes {
  // A host name has no case, the server keeps it in lower case, and bytes have to be equal.
  const fields = [userId, deviceId, context, host.toLowerCase(), String(port)].map(utf8);
  return concat(...fields.flatMap((field) => [uint16(field.length), field]));
}

/**
 * Returns the key to seal for, if the key set is signed by the pinned identity key and still good. The identity key in
 * the response is not looked at: whoever could forge the keys could forge that one too.
 */
export async function trustedSealingKey(
  response: GetSealingKeysResponse,
  pinnedIdentityKey: Uint8Array,
  now = new Date(),
): Promise<SealingKey> {
  const identity = await crypto.subtle.importKey("raw", concat(pinnedIdentityKey), "Ed25519", false, ["verify"]);
  const signature = concat(response.signature);
  if (!(await crypto.subtle.verify("Ed25519", identity, signature, signedBytes(response.keySet)))) {
    throw new Error("The sealing keys are not signed by the pinned identity key.");
  }
  const keySet = fromBinary(SealingKeySetSchema, response.keySet);
  const [preferred] = keySet.keys;
  if (!preferred || !keySet.expireTime || timestampDate(keySet.expireTime) <= now) {
    throw new Error("The sealing keys have expired.");
  }
  return preferred;
}

/** Seals a credential for the backend. */
export async function seal(key: SealingKey, credential: Credential, binding: Binding): Promise<SealedCredential> {
  const message = toBinary(CredentialSchema, credential);
  const length = 2 + message.length;
  const padding = new Uint8Array((paddedTo - (length % paddedTo)) % paddedTo);
  const box = await suite.seal(
    { recipientPublicKey: await suite.kem.deserializePublicKey(key.publicKey), info: hpkeInfo },
    concat(uint16(message.length), message, padding),
    associatedData(binding),
  );
  return create(SealedCredentialSchema, {
    keyId: key.keyId,
    encapsulatedKey: new Uint8Array(box.enc),
    ciphertext: new Uint8Array(box.ct),
  });
}
