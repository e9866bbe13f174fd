// From an account with its password to a Register request without it.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { CredentialSchema } from "../gen/pinger/v1/credential_pb.ts";
import { type DeviceService, RegisterRequestSchema } from "../gen/pinger/v1/device_service_pb.ts";
import { ImapMechanism, ImapSecurity } from "../gen/pinger/v1/mail_pb.ts";
import { ApnsEnvironment, ApnsPushType } from "../gen/pinger/v1/push_pb.ts";
import { Platform } from "../gen/pinger/v1/session_pb.ts";
import { seal, trustedSealingKey } from "./sealing.ts";

export interface Account {
  userId: string;
  deviceId: string;
  platform: Platform;
  context: string;
  host: string;
  port: number;
  username: string;
  password: string;
  apnsToken: string;
  waitMs: number;
}

/** The metadata of GetSealingKeys and Register. */
export const withAppKey = (appKey: string) => ({ headers: { "x-pinger-app-key": appKey } });

/** The metadata of all other calls. */
export const withToken = (sessionToken: string) => ({ headers: { authorization: `Bearer ${sessionToken}` } });

/** Fetches the sealing keys, checks them, and seals the password for the request. */
export async function registration(
  client: Client<typeof DeviceService>,
  appKey: string,
  pinnedIdentityKey: Uint8Array,
  account: Account,
): Promise<MessageInitShape<typeof RegisterRequestSchema>> {
  const key = await trustedSealingKey(await client.getSealingKeys({}, withAppKey(appKey)), pinnedIdentityKey);
  const credential = create(CredentialSchema, {
    username: account.username,
    secret: { case: "password", value: account.password },
  });
  return {
    userId: account.userId,
    device: { deviceId: account.deviceId, platform: account.platform },
    context: account.context,
    pushTarget: {
      service: {
        case: "apns",
        value: {
          token: account.apnsToken,
          topic: "org.example.mail",
          environment: ApnsEnvironment.DEVELOPMENT,
          pushType: ApnsPushType.BACKGROUND,
        },
      },
    },
    mailTarget: {
      server: {
        case: "imap",
        value: {
          host: account.host,
          port: account.port,
          security: ImapSecurity.TLS,
          mechanism: ImapMechanism.PLAIN,
        },
      },
    },
    credential: await seal(key, credential, account),
    timings: { waitBeforeUse: durationFromMs(account.waitMs) },
  };
}
