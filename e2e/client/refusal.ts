// What a refused call says, beside its status: the `google.rpc` details.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";

export interface Refusal {
  /** The status, such as `InvalidArgument`. */
  status: string;
  /** The stable reason, such as `INVALID_FIELDS`; empty if the error did not come from Pinger. */
  reason: string;
  /** Who gives the reason: `pinger.v1`. */
  domain: string;
  /** The fields that are wrong, with what is wrong about them. */
  fields: Record<string, string>;
}

export function refusal(thrown: unknown): Refusal {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations = error.findDetails(BadRequestSchema).flatMap((details) => details.fieldViolations);
  return {
    status: Code[error.code],
    reason: info?.reason ?? "",
    domain: info?.domain ?? "",
    fields: Object.fromEntries(violations.map(({ field, description }) => [field, description])),
  };
}
