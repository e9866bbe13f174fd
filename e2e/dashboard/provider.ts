// A provider by which staff sign in (OpenID Connect): it believes whatever name is typed into its form, and can be told to
// sign with a key that it does not show. run.mjs starts it before the server, which is told of it.
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Provider {
  issuer: string;
  stop(): void;
}

/** Somebody who has come back with a code. */
interface Grant {
  challenge: string;
  nonce: string;
  name: string;
  groups: string[];
  forged: boolean;
}

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return new URLSearchParams(Buffer.concat(parts).toString("utf8"));
}

function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

const choice = (asked: URLSearchParams) => `<!doctype html><html lang="en"><title>Example ID</title>
<h1>Who are you?</h1>
<form method="post">${[...asked].map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`).join("")}
<label>Your name there <input name="name" required></label>
<label>Groups <input name="groups"></label>
<label><input type="checkbox" name="forged"> Sign with another key</label>
<button>Go on</button></form></html>`;

export async function startProvider(): Promise<Provider> {
  const [shown, hidden] = [0, 0].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const jwk = { ...shown!.publicKey.export({ format: "jwk" }), kid: "shown", use: "sig", alg: "ES256" };
  const grants = new Map<string, Grant>();

  /** The word on who somebody is. */
  function idToken(grant: Grant): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: issuer,
      aud: "pinger",
      sub: `sub-${grant.name}`,
      nonce: grant.nonce,
      iat: now,
      exp: now + 300,
      preferred_username: grant.name,
      email: `${grant.name}@example.org`,
      email_verified: true,
      groups: grant.groups,
    };
    const text = `${base64url({ alg: "ES256", kid: "shown" })}.${base64url(claims)}`;
    const key = grant.forged ? hidden!.privateKey : shown!.privateKey;
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }

  async function authorize(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") {
      const asked = new URL(request.url!, issuer).searchParams;
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(choice(asked));
      return;
    }
    const form = await formOf(request);
    const code = randomBytes(16).toString("hex");
    grants.set(code, {
      challenge: form.get("code_challenge")!,
      nonce: form.get("nonce")!,
      name: form.get("name")!,
      groups: form.get("groups")!.split(" ").filter(Boolean),
      forged: form.has("forged"),
    });
    const back = new URL(form.get("redirect_uri")!);
    back.searchParams.set("code", code);
    back.searchParams.set("state", form.get("state")!);
    response.writeHead(303, { location: back.href }).end();
  }

  async function token(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = await formOf(request);
    const code = form.get("code") ?? "";
    const grant = grants.get(code);
    grants.delete(code);
    const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    if (!grant || grant.challenge !== challenge) return json(response, 400, { error: "invalid_grant" });
    json(response, 200, { access_token: "x", token_type: "Bearer", id_token: idToken(grant) });
  }

  const server = createServer((request, response) => {
    switch (new URL(request.url!, issuer).pathname) {
      case "/.well-known/openid-configuration":
        return json(response, 200, {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/keys`,
        });
      case "/keys":
        return json(response, 200, { keys: [jwk] });
      case "/authorize":
        return void authorize(request, response);
      case "/token":
        return void token(request, response);
      default:
        return json(response, 404, {});
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    issuer,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
