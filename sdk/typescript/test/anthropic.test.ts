import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";

import type Anthropic from "@anthropic-ai/sdk";
import { Client, NotFoundError, Sandbox } from "podflare";
import {
  bash,
  cutMiddle,
  errorForModel,
  handleCodeExecutionToolUse,
  runBash,
  runPython,
  runTools,
  textEditor,
  tools,
} from "podflare/anthropic";

import { events, exitLine, line, refuse, sandboxOn } from "./support.js";

function use(name: string, input: unknown): { type: "tool_use"; id: string; name: string; input: unknown } {
  return { type: "tool_use", id: "toolu_1", name, input };
}

/** A sandbox in which every exec ends with these events. */
async function saying(t: TestContext, ...lines: string[]) {
  return sandboxOn(t, (_, response) => events(response, lines));
}

function textIn(answer: { content: { type: string }[] }): string {
  return (answer.content[0] as unknown as { text: string }).text;
}

test("a code_execution call is answered to the letter", async (t) => {
  const { sandbox } = await saying(t, line("stdout", "42\n", 0), line("result", { "text/plain": "1" }, 1), exitLine());
  assert.deepEqual(await handleCodeExecutionToolUse(use("code_execution", { code: "print(42)" }), sandbox), {
    type: "tool_result",
    tool_use_id: "toolu_1",
    content: [{ type: "text", text: "stdout:\n42\n\nstderr:\n\nexit_code: 0" }],
    is_error: false,
  });
});

test("an exit code that is not 0 is an error", async (t) => {
  const { sandbox } = await saying(t, line("stderr", "no\n", 0), exitLine(3));
  const answer = await handleCodeExecutionToolUse(use("bash_code_execution", { command: "x" }), sandbox);
  assert.equal(textIn(answer), "stdout:\n\nstderr:\nno\n\nexit_code: 3");
  assert.equal(answer.is_error, true);
});

test("a block that is no call of a client's tool is refused", async (t) => {
  const { sandbox, server } = await saying(t, exitLine());
  await assert.rejects(handleCodeExecutionToolUse({ type: "server_tool_use" }, sandbox), {
    name: "TypeError",
    message: /the provider has run it already/,
  });
  await assert.rejects(handleCodeExecutionToolUse({ type: "text" }, sandbox), TypeError);
  assert.equal(server.asked.length, 0);
});

test("the model is told of an unknown tool and of a wrong input", async (t) => {
  const { sandbox } = await saying(t, exitLine());
  const unknown = await handleCodeExecutionToolUse(use("fly", {}), sandbox);
  assert.match(textIn(unknown), /^error: there is no tool "fly"\nwhy: .*\ntry: use one of code_execution, /);
  for (const input of [{}, null, "x", { code: 5 }]) {
    const wrong = await handleCodeExecutionToolUse(use("code_execution", input), sandbox);
    assert.equal(wrong.is_error, true);
    assert.match(textIn(wrong), /^error: the input has no code\nwhy: it must have "code", a string\ntry: /);
  }
});

test("what happened to the process is said", async (t) => {
  const end = async (more: object): Promise<string> => {
    const { sandbox } = await saying(t, exitLine(124, 0, more));
    return textIn(await handleCodeExecutionToolUse(use("code_execution", { code: "x" }), sandbox, { timeoutSeconds: 7 }));
  };
  assert.match(await end({ reason: "timeout" }), /\[stopped after 7 s: it took too long\. Do it in smaller steps\]/);
  assert.match(await end({ reason: "oom", state_kept: false }), /memory is used up.*\n\[the Python process ended: its variables and imports are gone\]/);
  assert.match(await end({ reason: "interrupted" }), /\[interrupted from outside\]/);
});

test("the value of the last expression is in the answer of run_python", async (t) => {
  const { sandbox } = await saying(t, line("result", { "text/plain": "[1, 2]" }, 0), exitLine());
  const answer = await handleCodeExecutionToolUse(use("run_python", { code: "x" }), sandbox);
  assert.equal(textIn(answer), "stdout:\n\nstderr:\n\nresult:\n[1, 2]\nexit_code: 0");
});

test("figures are image blocks, as many and as large as can be passed on", async (t) => {
  const figure = (data: string, seq: number): string =>
    line("result", { "text/plain": "<Figure>", "image/png": data }, seq);
  const { sandbox } = await saying(t, figure("aGk=\n", 0), figure("x".repeat(5_000_001), 1), figure("aG8=", 2), figure("aG9=", 3), exitLine());
  const answer = await handleCodeExecutionToolUse(use("run_python", { code: "x" }), sandbox, { maxImages: 2 });
  assert.deepEqual(answer.content.slice(1), [
    { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } },
    { type: "image", source: { type: "base64", media_type: "image/png", data: "aG8=" } },
  ]);
  assert.match(textIn(answer), /\[an image of 5000001 characters is too large to be shown; make it smaller\]\n\[1 more images are not shown/);
  assert.doesNotMatch(textIn(answer), /<Figure>/);
});

test("long output is cut in the middle, and the cut is said", async (t) => {
  const { sandbox } = await saying(t, line("stdout", "a".repeat(50_000) + "THE END", 0), exitLine());
  const text = textIn(await handleCodeExecutionToolUse(use("code_execution", { code: "x" }), sandbox));
  assert.match(text, /^stdout:\na{15000}\n\[… 20007 characters left out here; write long output to a file and read parts of it …\]\na{14993}THE END\n/);
});

test("a character is never cut in two", () => {
  const cut = cutMiddle("🎉".repeat(10), 7);
  assert.equal(cut, "🎉🎉\n[… 12 characters left out here; write long output to a file and read parts of it …]\n🎉🎉");
  assert.equal(cutMiddle("short", 5), "short");
});

test("every error tells the model what happened, why, and what to try", async (t) => {
  let status = 0;
  let code = "";
  const { sandbox, client } = await sandboxOn(t, (_, response) => refuse(response, status, code));
  for (const [each, name, attempt] of [
    [404, "sandbox_not_found", /new sandbox/],
    [409, "sandbox_lost", /new sandbox/],
    [404, "file_not_found", /list the directory/],
    [413, "too_large", /in parts/],
    [429, "too_many", /try later/],
    [503, "no_room", /try later/],
    [401, "invalid_api_key", /only a person can mend it/],
    [500, "internal", /once more/],
  ] as const) {
    [status, code] = [each, name];
    const answer = await handleCodeExecutionToolUse(use("code_execution", { code: "x" }), sandbox);
    assert.equal(answer.is_error, true);
    const [what, why, try_] = textIn(answer).split("\n");
    assert.equal(what, `error: it is ${name}`);
    assert.match(why ?? "", /^why: .+/);
    assert.match(try_ ?? "", attempt);
  }
  client.close();
  const away = new Client({ host: "http://127.0.0.1:1", apiKey: "k" });
  const answer = await handleCodeExecutionToolUse(use("code_execution", { code: "x" }), new Sandbox({ client: away }));
  assert.match(textIn(answer), /^error: can't reach the Podflare server.*\nwhy: the server can't be reached\ntry: /);
  assert.equal(errorForModel(new NotFoundError("no", {}))?.startsWith("error: no\nwhy: "), true);
  assert.equal(errorForModel(new RangeError("a bug")), undefined);
});

test("the definitions are what the Messages API's own types want", () => {
  const given: Anthropic.ToolUnion[] = [...tools];
  const more: Anthropic.ToolUnion = runBash;
  assert.equal(more.name, "run_bash");
  assert.deepEqual(given.map((tool) => "name" in tool && tool.name), ["run_python", "bash", "str_replace_based_edit_tool"]);
  assert.equal(bash.type, "bash_20250124");
  assert.equal(textEditor.type, "text_editor_20250728");
  assert.deepEqual(runPython.input_schema.required, ["code"]);
});

test("a turn's calls are answered in order, and everything else is left alone", async (t) => {
  const { sandbox, server } = await saying(t, line("stdout", "ok", 0), exitLine());
  const message = {
    content: [
      { type: "text", text: "let me see" },
      { type: "server_tool_use", id: "srvtoolu_1", name: "code_execution", input: { code: "1" } },
      { type: "code_execution_tool_result", tool_use_id: "srvtoolu_1", content: {} },
      { ...use("run_python", { code: "a" }), id: "toolu_a" },
      { ...use("run_bash", { command: "b" }), id: "toolu_b" },
      { ...use("weather", { city: "Bern" }), id: "toolu_c" },
      { ...use("broken", {}), id: "toolu_d" },
      { ...use("unknown", {}), id: "toolu_e" },
    ],
  };
  const before = structuredClone(message);
  const answers = await runTools(message, sandbox, {
    others: {
      weather: (input) => `sunny in ${(input as { city: string }).city}`,
      broken: () => {
        throw new Error("no such city");
      },
    },
  });
  assert.deepEqual(message, before);
  const next: Anthropic.MessageParam | null = answers;
  assert.equal(next?.role, "user");
  const results = answers?.content ?? [];
  assert.deepEqual(results.map((one) => [one.tool_use_id, one.is_error]), [
    ["toolu_a", false],
    ["toolu_b", false],
    ["toolu_c", false],
    ["toolu_d", true],
    ["toolu_e", true],
  ]);
  assert.equal(textIn(results[2] as never), "sunny in Bern");
  assert.equal(textIn(results[3] as never), "error: no such city");
  assert.deepEqual(server.asked.map((one) => [one.json().language, one.json().timeout_seconds]), [
    ["python", 300],
    ["bash", 300],
  ]);
  assert.equal(await runTools({ content: "only text" }, sandbox), null);
  assert.equal(await runTools({ content: [{ type: "text" }], stop_reason: "pause_turn" }, sandbox), null);
});

test("a call that max_tokens cut off is not carried out", async (t) => {
  const { sandbox, server } = await saying(t, exitLine());
  const content = [use("run_python", { code: "whole" }), use("run_python", { code: "rm -rf /ro" })];
  const answers = await runTools({ content, stop_reason: "max_tokens" }, sandbox);
  assert.deepEqual(answers?.content.map((one) => one.is_error), [false, true]);
  assert.match(textIn(answers?.content[1] as never), /^error: this call was not carried out\nwhy: max_tokens .*\ntry: /);
  assert.deepEqual(server.asked.map((one) => one.json().code), ["whole"]);
});

test("an aborted signal ends the turn", async (t) => {
  const { sandbox } = await saying(t, exitLine());
  await assert.rejects(
    runTools({ content: [use("run_python", { code: "1" })] }, sandbox, { signal: AbortSignal.abort() }),
    { name: "AbortError" },
  );
});

test("a file that the editor can't show is told with a way out", async (t) => {
  let content: Buffer = Buffer.from([0xff, 0xfe]);
  const { sandbox } = await sandboxOn(t, (asked, response) =>
    asked.url.includes("missing") ? refuse(response, 404, "file_not_found") : response.end(content),
  );
  const edit = async (input: object): Promise<string> =>
    textIn(await handleCodeExecutionToolUse(use("str_replace_based_edit_tool", input), sandbox));
  assert.match(await edit({ command: "view", path: "f" }), /^error: f is not UTF-8 text\nwhy: .*\ntry: read it with code$/);
  content = Buffer.alloc(1024 * 1024 + 1, "x");
  assert.match(await edit({ command: "view", path: "f" }), /^error: f has 1048577 bytes\n/);
  assert.match(await edit({ command: "view", path: "missing" }), /^error: it is file_not_found\nwhy: the path is wrong/);
  assert.match(await edit({ command: "undo_edit", path: "f" }), /^error: there is no command "undo_edit"\n.*\ntry: use one of view, create, str_replace, insert$/);
  content = Buffer.from("one\ntwo\n");
  for (const view_range of [[0, 1], [2, 1], [1], "1-2", [1.5, 2]]) {
    assert.match(await edit({ command: "view", path: "f", view_range }), /^error: view_range .* is none\n/);
  }
  assert.equal(await edit({ command: "view", path: "f", view_range: [2, -1] }), "     2\ttwo\n");
  assert.match(await edit({ command: "insert", path: "f", insert_line: 3, insert_text: "x" }), /^error: there is no line 3 in f\nwhy: it has 2 lines/);
});
