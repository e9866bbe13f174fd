import assert from "node:assert/strict";
import { test } from "node:test";
import { Authenticator } from "./totp.ts";

test("a code is that of RFC 6238 and is given once", (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_111_111_111_000 });
  // The secret of appendix B, "12345678901234567890"; the last six of its eight digits.
  const app = new Authenticator("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
  assert.equal(app.next(), "050471");
  assert.notEqual(app.next(), "050471");
  assert.throws(() => app.next(), /recovery code/);
});
