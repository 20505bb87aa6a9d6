/** examples/typescript-agent, with a fake of the model's API and a real sandbox. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";

import { REPOSITORY } from "../blocks.js";
import { FakeMessagesApi } from "./messages-api.js";

const HERE = join(REPOSITORY, "sdk", "typescript");
const EXAMPLE = join(REPOSITORY, "examples", "typescript-agent");
const DEADLINE_MS = 180_000;

function call(id: string, code: string): object {
  return { type: "tool_use", id, name: "run_python", input: { code } };
}

/** What the model says, and what it must have been told. */
const TURNS = [
  {
    content: [
      { type: "text", text: "Let me look." },
      call("toolu_1", "import pandas as pd\ntable = pd.read_csv('sales.csv')\nnope"),
      call("toolu_2", "best = table.loc[table.sold.idxmax(), 'month']; print(best)"),
    ],
    stop_reason: "tool_use",
    expect: { asks: "Files in the sandbox: /root/sales.csv" },
  },
  {
    content: [call("toolu_3", "table.plot(x='month')")],
    stop_reason: "tool_use",
    expect: { results: [{ is_error: true, contains: "NameError" }, { is_error: false, equals: "2" }] },
  },
  {
    content: [{ type: "text", text: "In month 2." }],
    stop_reason: "end_turn",
    expect: { results: [{ is_error: false, images: 1 }] },
  },
];

async function node(cwd: string, command: string[], env = {}): Promise<{ out: string; err: string }> {
  const child = spawn(process.execPath, command, {
    cwd,
    env: { ...process.env, ...env },
    timeout: DEADLINE_MS,
  });
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
  const conversations = join(folder, "conversations");
  mkdirSync(conversations);
  writeFileSync(join(conversations, "agent.json"), JSON.stringify({ turns: TURNS }));
  using api = await FakeMessagesApi.start(conversations);
  const { out, err } = await node(folder, ["build/agent.js", "When was most sold?", "sales.csv"], {
    ANTHROPIC_API_KEY: "a-key",
    ANTHROPIC_BASE_URL: api.baseOf("agent"),
  });
  await api.assertNoFailures("agent");
  assert.match(out, /Let me look\.[^]*In month 2\.\n/);
  assert.match(err, /\[exit code: 1\][^]*\[figure → figure-1\.png\]/);
  assert.equal(readFileSync(join(folder, "figure-1.png")).subarray(1, 4).toString(), "PNG");
});
