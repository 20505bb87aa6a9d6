/** examples/typescript-agent, with a fake of the model's API and a real sandbox. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";

import { REPOSITORY } from "../blocks.js";
import { FakeAnthropic, call, say } from "../fake-anthropic.js";

const HERE = join(REPOSITORY, "sdk", "typescript");
const EXAMPLE = join(REPOSITORY, "examples", "typescript-agent");

async function node(cwd: string, command: string[], env = {}): Promise<{ out: string; err: string }> {
  const child = spawn(process.execPath, command, { cwd, env: { ...process.env, ...env } });
  let out = "";
  let err = "";
  child.stdout.on("data", (data: Buffer) => (out += data));
  child.stderr.on("data", (data: Buffer) => (err += data));
  child.stdin.end();
  const code = await new Promise((ended) => child.once("close", ended));
  assert.equal(code, 0, out + err);
  return { out, err };
}

test("the agent answers a question about a file, and leaves its figure", async (t) => {
  // In the package's folder, where the names of the packages are known without an installation.
  const folder = mkdtempSync(join(HERE, "build", "example-"));
  t.after(() => rmSync(folder, { recursive: true }));
  copyFileSync(join(EXAMPLE, "agent.ts"), join(folder, "agent.ts"));
  copyFileSync(join(EXAMPLE, "tsconfig.json"), join(folder, "tsconfig.json"));
  await node(folder, [join(HERE, "node_modules", "typescript", "bin", "tsc"), "-p", folder]);
  writeFileSync(join(folder, "sales.csv"), "month,sold\n1,5\n2,9\n3,4\n");
  const fake = await FakeAnthropic.start(t, [
    {
      content: [
        say("Let me look."),
        call("run_python", { code: "import pandas as pd\ntable = pd.read_csv('sales.csv')\nnope" }),
        call("run_python", { code: "best = table.loc[table.sold.idxmax(), 'month']; print(best)" }),
      ],
      stop_reason: "tool_use",
    },
    { content: [call("run_python", { code: "table.plot(x='month')" })], stop_reason: "tool_use" },
    { content: [say("In month 2.")] },
  ]);
  const { out, err } = await node(folder, ["build/agent.js", "When was most sold?", "sales.csv"], {
    ANTHROPIC_API_KEY: "sk-ant-fake",
    ANTHROPIC_BASE_URL: fake.client.baseURL,
  });
  assert.match(out, /Let me look\.[^]*In month 2\.\n/);
  assert.match(err, /\[exit_code: 1\][^]*\[figure → figure-1\.png\]/);
  assert(existsSync(join(folder, "figure-1.png")));
  assert.match(JSON.stringify(fake.bodies[0]?.messages), /Files in the sandbox: \/root\/sales\.csv/);
  assert.match(JSON.stringify(fake.bodies[1]?.messages.at(-1)), /stdout:\\n2\\n/);
  assert.equal(readFileSync(join(folder, "figure-1.png")).subarray(1, 4).toString(), "PNG");
});
