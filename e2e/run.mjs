// Runs every test against the server that the environment names, or against one of our own:
// `$PINGER_DEMO_BIN --serve-e2e` prints a line of JSON with the variables, and stays until its stdin ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startProvider } from "./dashboard/provider.ts";

const startTimeoutMs = 120_000;
const stopTimeoutMs = 20_000;

async function startDemo(binary, issuer) {
  const demo = spawn(binary, ["--serve-e2e", "--issuer", issuer], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: demo.stdout });
  const late = AbortSignal.timeout(startTimeoutMs);
  const failed = new Promise((_, reject) => {
    demo.once("error", reject);
    demo.once("exit", (code, signal) => reject(new Error(`${binary} ended (${code ?? signal}) before it was up.`)));
    late.addEventListener("abort", () => reject(new Error(`${binary} was not up in time.`)), { once: true });
  });
  try {
    const [line] = await Promise.race([once(lines, "line"), failed]);
    return { demo, variables: JSON.parse(line) };
  } catch (error) {
    demo.kill();
    throw error;
  }
}

async function stopDemo(demo) {
  if (demo.exitCode !== null || demo.signalCode !== null) return;
  const kill = setTimeout(() => demo.kill("SIGKILL"), stopTimeoutMs);
  demo.stdin.end();
  await once(demo, "exit");
  clearTimeout(kill);
}

// One file at a time: they share a mailbox. But for this one, which delivers nothing, and is busy with measuring.
const alone = "tests/dashboard/pages.test.ts";

async function runTests(variables) {
  const folders = ["client", "dashboard", "tests", "tests/dashboard"];
  const files = (await Promise.all(folders.map(testsIn))).flat();
  const aside = runFiles([alone], variables, "pipe");
  const others = runFiles(files.filter((file) => file !== alone), variables, "inherit");
  return Math.max(await others, await aside);
}

async function testsIn(folder) {
  const names = await readdir(join(import.meta.dirname, folder));
  return names.filter((name) => name.endsWith(".test.ts")).sort().map((name) => `${folder}/${name}`);
}

/** Runs tests, and answers the exit code. What comes through a pipe is printed at the end. */
async function runFiles(files, variables, output) {
  const runner = spawn(
    process.execPath,
    ["--import", "tsx", "--test", "--test-concurrency=1", "--test-reporter=spec", ...files],
    { cwd: import.meta.dirname, stdio: ["ignore", output, "inherit"], env: { ...process.env, ...variables } },
  );
  const parts = [];
  runner.stdout?.on("data", (part) => parts.push(part));
  const [code] = await once(runner, "close");
  process.stdout.write(Buffer.concat(parts));
  return code ?? 1;
}

if (process.env.PINGER_DEVICE_API) {
  process.exitCode = await runTests({});
} else if (process.env.PINGER_DEMO_BIN) {
  const provider = await startProvider();
  try {
    const { demo, variables } = await startDemo(process.env.PINGER_DEMO_BIN, provider.issuer);
    try {
      process.exitCode = await runTests(variables);
    } finally {
      await stopDemo(demo);
    }
  } finally {
    provider.stop();
  }
} else {
  console.error("Set PINGER_DEMO_BIN to the binary of pinger-demo, or PINGER_DEVICE_API and its companions.");
  process.exitCode = 2;
}
