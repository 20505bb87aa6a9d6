/**
 * Whole conversations with a model, by Anthropic's own client: a fake of the Messages API replays
 * them and checks every answer; the tools run in a real sandbox.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import type { Sandbox } from "podflare";
import { fileIds, handleCodeExecutionToolUse, putFiles, runTools, takeFiles, tools } from "podflare/anthropic";

import { REPOSITORY } from "../blocks.js";
import { liveSandbox } from "./live.js";
import { FakeMessagesApi } from "./messages-api.js";

type Messages = Anthropic.MessageParam[];
type Say = (messages: Messages) => Promise<Anthropic.Message>;

const MODEL = "a-model";
const MOST_TURNS = 10;
const DEADLINE = { timeout: 180_000 };
/** Those whose tools or first words are others; they have tests of their own. */
const APART = ["tutorial", "code_execution", "files", "review"];

const api = await FakeMessagesApi.start();
after(() => api.stop());

/** The loop that docs/anthropic.md shows. */
async function have(messages: Messages, say: Say, sandbox: Sandbox): Promise<Messages> {
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const message = await say(messages);
    messages.push({ role: "assistant", content: message.content });
    const answers = await runTools(message, sandbox);
    if (answers !== null) messages.push(answers);
    else if (message.stop_reason !== "pause_turn") return messages;
  }
  throw new Error("the conversation does not end");
}

function plain(client: Anthropic): Say {
  return (messages) => client.messages.create({ model: MODEL, max_tokens: 1024, tools, messages });
}

function streamed(client: Anthropic): Say {
  return (messages) =>
    client.messages.stream({ model: MODEL, max_tokens: 1024, tools, messages }).finalMessage();
}

function asks(content: Anthropic.MessageParam["content"]): Messages {
  return [{ role: "user", content }];
}

assert(api.names().length > 10);
for (const name of api.names().filter((one) => !APART.includes(one))) {
  test(`the conversation ${name} is had to its end`, DEADLINE, async (t) => {
    const sandbox = await liveSandbox(t, { template: "python-datasci" });
    await api.assertHad(name, await have(asks("Go."), plain(api.client(name)), sandbox));
  });
}

for (const name of ["plain", "parallel", "pause", "server_blocks"]) {
  test(`the conversation ${name} is had streamed too`, DEADLINE, async (t) => {
    const sandbox = await liveSandbox(t);
    await api.assertHad(name, await have(asks("Go."), streamed(api.client(name)), sandbox));
  });
}

test("the code review is had to its end", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  for (const name of ["prices.py", "test_prices.py"]) {
    const content = readFileSync(join(REPOSITORY, "examples", "data", "shop", name));
    await sandbox.upload(`/root/repo/${name}`, content);
  }
  const question = asks("Review the code in /root/repo.");
  await api.assertHad("review", await have(question, plain(api.client("review")), sandbox));
});

test("the tutorial's loop with a tool run_python of its own runs", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const client = api.client("tutorial");
  const own: Anthropic.Tool = {
    name: "run_python",
    description: "Run Python in a persistent sandbox.",
    input_schema: { type: "object", properties: { code: { type: "string" } }, required: ["code"] },
  };
  const messages = asks("What is 6 times 7?");
  while (true) {
    const response = await client.messages.create({ model: MODEL, max_tokens: 1024, tools: [own], messages });
    messages.push({ role: "assistant", content: response.content });
    if (response.stop_reason !== "tool_use") break;
    const results: Anthropic.ToolResultBlockParam[] = [];
    for (const block of response.content) {
      if (block.type !== "tool_use") continue;
      const ran = await sandbox.runCode((block.input as { code: string }).code);
      results.push({
        type: "tool_result",
        tool_use_id: block.id,
        content: ran.stdout + ran.stderr,
        is_error: ran.exitCode !== 0,
      });
    }
    messages.push({ role: "user", content: results });
  }
  await api.assertHad("tutorial", messages);
});

test("the loop with code_execution_20250825 runs", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const client = api.client("code_execution");
  const messages = asks("Go.");
  while (true) {
    const response = await client.messages.create({
      model: MODEL,
      max_tokens: 1024,
      tools: [{ type: "code_execution_20250825", name: "code_execution" }],
      messages,
    });
    messages.push({ role: "assistant", content: response.content });
    const results = [];
    for (const block of response.content) {
      if (block.type === "tool_use") results.push(await handleCodeExecutionToolUse(block, sandbox));
    }
    if (results.length === 0) break;
    messages.push({ role: "user", content: results });
  }
  await api.assertHad("code_execution", messages);
});

test("files come from the Files API and go back to it", DEADLINE, async (t) => {
  const sandbox = await liveSandbox(t);
  const client = api.client("files");
  const messages: Anthropic.Beta.BetaMessageParam[] = [
    {
      role: "user",
      content: [
        { type: "text", text: "Sum up." },
        { type: "container_upload", file_id: "file_in1" },
      ],
    },
  ];
  assert.deepEqual(fileIds(messages), ["file_in1"]);
  // The name of a file must not lead out of the folder.
  assert.deepEqual(await putFiles(client, sandbox, fileIds(messages)), ["/root/prices.csv"]);
  const had = await have(messages as Messages, plain(client), sandbox);
  const [id, ...others] = await takeFiles(client, sandbox, ["/root/sum.txt"]);
  assert(id !== undefined && others.length === 0);
  assert.equal(await (await client.beta.files.download(id)).text(), "6.0");
  assert.equal((await client.beta.files.retrieveMetadata(id)).filename, "sum.txt");
  await api.assertHad("files", had);
});
