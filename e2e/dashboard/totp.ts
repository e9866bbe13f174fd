// The codes of an authenticator app: RFC 6238 with SHA-1, six digits, steps of 30 seconds.
import { createHmac } from "node:crypto";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const stepMs = 30_000;

function fromBase32(text: string): Buffer {
  const bits = [...text.replaceAll(/\s/g, "")].map((letter) => {
    const value = alphabet.indexOf(letter);
    if (value < 0) throw new Error(`"${letter}" is no letter of base32.`);
    return value.toString(2).padStart(5, "0");
  });
  const bytes = bits.join("").match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}

function code(secret: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const tag = createHmac("sha1", secret).update(counter).digest();
  const word = tag.readUInt32BE(tag[19]! & 15) & 0x7fffffff;
  return String(word % 1_000_000).padStart(6, "0");
}

/** An app that was given a secret. A code works once; the server takes that of the next step as well, so there are two
 * without waiting. */
export class Authenticator {
  readonly #secret: Buffer;
  #used = 0;

  constructor(text: string) {
    this.#secret = fromBase32(text);
  }

  /** A code that was not used yet. */
  next(): string {
    const present = Math.floor(Date.now() / stepMs);
    this.#used = Math.max(this.#used + 1, present);
    if (this.#used > present + 1) throw new Error("Too many codes at once: take a recovery code.");
    return code(this.#secret, this.#used);
  }
}
