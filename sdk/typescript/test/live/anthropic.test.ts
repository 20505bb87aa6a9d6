/** Whole conversations: the provider's own client library, a fake of its API, a real sandbox. */

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { Sandbox } from "podflare";
import { handleCodeExecutionToolUse, runTools, tools } from "podflare/anthropic";

import { FakeAnthropic, call, say } from "../fake-anthropic.js";
import { liveSandbox } from "./live.js";

type Messages = Anthropic.MessageParam[];
const MODEL = "claude-fake";

/** The loop of an agent with the client tools; answers the last message. */
async function converse(
  client: Anthropic,
  sandbox: Sandbox,
  messages: Messages,
): Promise<Anthropic.Message> {
  while (true) {
    const message = await client.messages.create({ model: MODEL, max_tokens: 1000, tools, messages });
    messages.push({ role: "assistant", content: message.content });
    if (message.stop_reason !== "tool_use" && message.stop_reason !== "pause_turn") return message;
    const answers = await runTools(message, sandbox);
    if (answers !== null) messages.push(answers);
  }
}

function texts(content: any): string[] {
  return content.map((result: any) => result.content[0].text);
}

test("the tutorial's loop with a tool run_python of its own runs", async (t) => {
  const sandbox = await liveSandbox(t);
  const fake = await FakeAnthropic.start(t, [
    { content: [say("first"), call("run_python", { code: "x = 6 * 7" })], stop_reason: "tool_use" },
    { content: [call("run_python", { code: "print(x)" })], stop_reason: "tool_use" },
    { content: [say("It is 42.")] },
  ]);
  const own: Anthropic.Tool = {
    name: "run_python",
    description: "Execute Python code in a persistent REPL.",
    input_schema: { type: "object", properties: { code: { type: "string" } }, required: ["code"] },
  };
  const messages: Messages = [{ role: "user", content: "What is 6 * 7?" }];
  let answer = "";
  while (answer === "") {
    const response = await fake.client.messages.create({ model: MODEL, max_tokens: 2048, tools: [own], messages });
    messages.push({ role: "assistant", content: response.content });
    const results: Anthropic.ToolResultBlockParam[] = [];
    for (const block of response.content) {
      if (block.type === "tool_use") {
        const { stdout, stderr } = await sandbox.runCode((block.input as { code: string }).code);
        results.push({ type: "tool_result", tool_use_id: block.id, content: stdout + stderr || "(none)" });
      } else if (block.type === "text") answer = response.stop_reason === "end_turn" ? block.text : "";
    }
    if (results.length > 0) messages.push({ role: "user", content: results });
  }
  assert.equal(answer, "It is 42.");
  assert.equal(fake.lastContent[0].content, "42\n");
});

test("the loop with code_execution_20250825 runs", async (t) => {
  const sandbox = await liveSandbox(t);
  const fake = await FakeAnthropic.start(t, [
    { content: [call("code_execution", { code: "import math; print(math.sqrt(144))" })], stop_reason: "tool_use" },
    { content: [say("12")] },
  ]);
  const messages: Messages = [{ role: "user", content: "What's sqrt(144)?" }];
  let response;
  while (true) {
    response = await fake.client.messages.create({
      model: MODEL,
      max_tokens: 1024,
      tools: [{ type: "code_execution_20250825", name: "code_execution" }],
      messages,
    });
    messages.push({ role: "assistant", content: response.content });
    if (response.stop_reason !== "tool_use") break;
    const results = [];
    for (const block of response.content) {
      if (block.type === "tool_use" && block.name === "code_execution") {
        results.push(await handleCodeExecutionToolUse(block, sandbox));
      }
    }
    messages.push({ role: "user", content: results });
  }
  assert.equal((response.content.at(-1) as Anthropic.TextBlock).text, "12");
  assert.deepEqual(fake.lastContent[0], {
    type: "tool_result",
    tool_use_id: fake.lastContent[0].tool_use_id,
    content: [{ type: "text", text: "stdout:\n12.0\n\nstderr:\n\nexit_code: 0" }],
    is_error: false,
  });
});

test("parallel calls of one turn are answered in one message, and see what the others did", async (t) => {
  const sandbox = await liveSandbox(t);
  const fake = await FakeAnthropic.start(t, [
    {
      content: [
        say("All at once."),
        call("str_replace_based_edit_tool", { command: "create", path: "/root/m.py", file_text: "v = 5\nw = 6\n" }),
        call("str_replace_based_edit_tool", { command: "str_replace", path: "/root/m.py", old_str: "v = 5", new_str: "v = 7" }),
        call("str_replace_based_edit_tool", { command: "insert", path: "/root/m.py", insert_line: 1, insert_text: "u = 4" }),
        call("str_replace_based_edit_tool", { command: "view", path: "/root/m.py" }),
        call("run_python", { code: "import m; m.v * m.w" }),
        call("bash", { command: "wc -l < m.py" }),
        call("run_bash", { command: "exit 3" }),
        call("str_replace_based_edit_tool", { command: "view", path: "/root" }),
      ],
      stop_reason: "tool_use",
    },
    { content: [say("done")] },
  ]);
  await converse(fake.client, sandbox, [{ role: "user", content: "go" }]);
  const said = texts(fake.lastContent);
  assert.equal(said[0], "/root/m.py has been written (2 lines)");
  assert.equal(said[1], "/root/m.py has been changed:\n     1\tv = 7\n     2\tw = 6\n");
  assert.equal(said[3], "     1\tv = 7\n     2\tu = 4\n     3\tw = 6\n");
  assert.equal(said[4], "stdout:\n\nstderr:\n\nresult:\n42\nexit_code: 0");
  assert.match(said[5] as string, /stdout:\n3\n/);
  assert.deepEqual(
    fake.lastContent.map((one: any) => one.is_error),
    [false, false, false, false, false, false, true, false],
  );
  assert.match(said[7] as string, /^\/root, two levels deep, without hidden files:\n(.*\n)*m\.py\n/);
});

test("the bash tool is one session until it is restarted", async (t) => {
  const sandbox = await liveSandbox(t);
  const run = async (input: object): Promise<string> => {
    const answers = await runTools({ content: [call("bash", input)] }, sandbox);
    return (answers?.content[0]?.content[0] as { text: string }).text;
  };
  await run({ command: "cd /tmp; plain='a b'; export SEEN=1; f() { echo \"f $1\"; }; list=(x 'y z')" });
  assert.match(
    await run({ command: "pwd; echo \"$plain\"; env | grep SEEN; f 5; echo \"${list[1]}\"; false" }),
    /^stdout:\n\/tmp\na b\nSEEN=1\nf 5\ny z\n\nstderr:\n\nexit_code: 1$/,
  );
  assert.match(await run({ command: "exit 4" }), /exit_code: 4$/);
  assert.match(await run({ command: "pwd; syntax (" }), /exit_code: [12]$/);
  assert.match(await run({ command: "pwd" }), /^stdout:\n\/tmp\n/);
  assert.equal(await run({ restart: true }), "the shell has been restarted");
  assert.match(await run({ command: "pwd; echo \"[$plain]\"" }), /^stdout:\n\/root\n\[\]\n/);
});

test("a figure is an image block that the API's next call has", async (t) => {
  const sandbox = await liveSandbox(t);
  const fake = await FakeAnthropic.start(t, [
    {
      content: [call("run_python", { code: "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()" })],
      stop_reason: "tool_use",
    },
    { content: [say("a line")] },
  ]);
  await converse(fake.client, sandbox, [{ role: "user", content: "plot" }]);
  const [, image] = fake.lastContent[0].content;
  assert.equal(image.source.media_type, "image/png");
  assert.equal(Buffer.from(image.source.data, "base64").subarray(1, 4).toString(), "PNG");
});

test("a streamed turn is answered like a plain one", async (t) => {
  const sandbox = await liveSandbox(t);
  const fake = await FakeAnthropic.start(t, [
    { content: [say("Let me compute."), call("run_python", { code: "print('strömt')" })], stop_reason: "tool_use" },
    { content: [say("It said strömt.")] },
  ]);
  const messages: Messages = [{ role: "user", content: "stream" }];
  let told = "";
  while (true) {
    const stream = fake.client.messages.stream({ model: MODEL, max_tokens: 100, tools, messages });
    stream.on("text", (text) => (told += text));
    const message = await stream.finalMessage();
    messages.push({ role: "assistant", content: message.content });
    if (message.stop_reason !== "tool_use") break;
    const answers = await runTools(message, sandbox);
    assert(answers);
    messages.push(answers);
  }
  assert.equal(told, "Let me compute.It said strömt.");
  assert.match(texts(fake.lastContent)[0] as string, /^stdout:\nströmt\n/);
});

test("what server tools did is left alone, and a paused turn is taken up again", async (t) => {
  const sandbox = await liveSandbox(t);
  const ran = [
    { type: "server_tool_use", id: "srvtoolu_1", name: "bash_code_execution", input: { command: "ls" } },
    {
      type: "bash_code_execution_tool_result",
      tool_use_id: "srvtoolu_1",
      content: { type: "bash_code_execution_result", stdout: "theirs\n", stderr: "", return_code: 0, content: [] },
    },
  ];
  const fake = await FakeAnthropic.start(t, [
    { content: [ran[0] as object], stop_reason: "pause_turn" },
    { content: [...ran.slice(1), call("run_python", { code: "print('ours')" })], stop_reason: "tool_use" },
    { content: [...ran, say("both")] },
  ]);
  const messages: Messages = [{ role: "user", content: "go" }];
  const last = await converse(fake.client, sandbox, messages);
  assert.equal((last.content.at(-1) as Anthropic.TextBlock).text, "both");
  assert.deepEqual(fake.bodies[1]?.messages.at(-1)?.content, [ran[0]]);
  assert.equal(fake.lastContent.length, 1);
  assert.match(texts(fake.lastContent)[0] as string, /ours/);
});

test("a sandbox that is lost in the middle is told to the model, and the conversation goes on", async (t) => {
  const sandbox = await liveSandbox(t);
  const fake = await FakeAnthropic.start(t, [
    { content: [call("run_python", { code: "x = 1" })], stop_reason: "tool_use" },
    { fails: { status: 529, type: "overloaded_error" } },
    { content: [call("run_python", { code: "x" }), call("bash", { command: "ls" })], stop_reason: "tool_use" },
    { content: [say("The sandbox is gone.")] },
  ]);
  const other = await Sandbox.connect(sandbox.id);
  const messages: Messages = [{ role: "user", content: "go" }];
  const create = fake.client.messages.create.bind(fake.client.messages);
  fake.client.messages.create = (async (...given: Parameters<typeof create>) => {
    if (fake.bodies.length === 1) await other.close();
    return create(...given);
  }) as never;
  const last = await converse(fake.client, sandbox, messages);
  assert.equal((last.content[0] as Anthropic.TextBlock).text, "The sandbox is gone.");
  for (const text of texts(fake.lastContent)) {
    assert.match(text, /^error: sandbox not found.*\nwhy: .*what was in it is lost\ntry: /i);
  }
  assert.equal(fake.bodies.length, 4);
});

test("code that never ends is stopped, and the model is told", async (t) => {
  const sandbox = await liveSandbox(t);
  const answers = await runTools(
    { content: [call("run_python", { code: "kept = 1\nwhile True: pass" })] },
    sandbox,
    { timeoutSeconds: 1 },
  );
  const result = answers?.content[0];
  assert.equal(result?.is_error, true);
  assert.match((result?.content[0] as { text: string }).text, /\[stopped after 1 s: it took too long/);
});
