/** What a turn does to a real sandbox that no conversation shows. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Sandbox } from "podflare";
import type { Answers } from "podflare/anthropic";
import { runTools } from "podflare/anthropic";

import { liveSandbox } from "./live.js";

const DEADLINE = { timeout: 120_000 };

function turn(name: string, input: object) {
  return { content: [{ type: "tool_use", id: "toolu_1", name, input }] };
}

function textIn(answers: Answers | null): string {
  const [block] = answers?.content[0]?.content ?? [];
  return block?.type === "text" ? block.text : "";
}

test("code that never ends is stopped, and the model is told", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const endless = turn("run_python", { code: "kept = 1\nwhile True: pass" });
  const answers = await runTools(endless, sandbox, { timeoutSeconds: 1 });
  assert.equal(answers?.content[0]?.is_error, true);
  assert.match(textIn(answers), /\[stopped at its time limit; what it did so far is kept\. [^]*exit code: 124$/);
  assert.equal(textIn(await runTools(turn("run_python", { code: "kept" }), sandbox)), "1");
});

test("an aborted signal interrupts the code and ends the turn", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const endless = turn("run_python", { code: "while True: pass" });
  const running = runTools(endless, sandbox, { signal: AbortSignal.timeout(1000) });
  await assert.rejects(running, { name: "TimeoutError" });
  assert.equal(textIn(await runTools(turn("run_python", { code: "6 * 7" }), sandbox)), "42");
});

test("a sandbox that is lost is told to the model", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const other = await Sandbox.connect(sandbox.id);
  await other.close();
  for (const [name, input] of [
    ["run_python", { code: "x" }],
    ["bash", { command: "ls" }],
    ["str_replace_based_edit_tool", { command: "view", path: "/root" }],
  ] as const) {
    const answers = await runTools(turn(name, input), sandbox);
    assert.equal(answers?.content[0]?.is_error, true);
    assert.match(textIn(answers), /^error: sandbox not found[^]* say that the work needs a new sandbox\.$/i);
  }
});

test("the shell's arrays stay too, and a syntax error does not end its session", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const bash = async (command: string): Promise<string> =>
    textIn(await runTools(turn("bash", { command }), sandbox));
  await bash("cd /tmp; list=(x 'y z')");
  assert.match(await bash("syntax ("), /exit code: [12]$/);
  assert.equal(await bash('pwd; echo "${list[1]}"'), "/tmp\ny z");
});
