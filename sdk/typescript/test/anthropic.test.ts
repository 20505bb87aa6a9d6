/** How a turn is taken apart and its answer put together; test/live/conversations.test.ts has the rest. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";

import type Anthropic from "@anthropic-ai/sdk";
import { Client, Sandbox } from "podflare";
import type { Answers, FilesClient } from "podflare/anthropic";
import {
  bash,
  fileIds,
  handleCodeExecutionToolUse,
  putFiles,
  runBash,
  runPython,
  runTools,
  takeFiles,
  textEditor,
  tools,
} from "podflare/anthropic";

import { events, exitLine, line, refuse, sandboxOn } from "./support.js";

const PNG = "iVBORw0KGgo=";

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

/** What a turn of one call is answered. */
async function textOf(sandbox: Sandbox, name: string, input: unknown): Promise<string> {
  const answers = await runTools({ content: [use(name, input)] }, sandbox);
  return textIn(resultsOf(answers)[0] as never);
}

function resultsOf(answers: Answers | null) {
  return answers?.content ?? [];
}

test("a code_execution call is answered to the letter", async (t) => {
  const { sandbox, server } = await saying(
    t,
    line("stdout", "42\n", 0),
    line("result", { "text/plain": "<Figure>", "image/png": PNG }, 1),
    exitLine(),
  );
  assert.deepEqual(await handleCodeExecutionToolUse(use("code_execution", { code: "print(42)" }), sandbox), {
    type: "tool_result",
    tool_use_id: "toolu_1",
    content: [{ type: "text", text: "stdout:\n42\n\nstderr:\n\nexit_code: 0" }],
    is_error: false,
  });
  assert.deepEqual(server.asked.map((one) => one.json()), [{ code: "print(42)", language: "python", timeout_seconds: 300 }]);
});

test("an exit code that is not 0 is an error", async (t) => {
  const { sandbox } = await saying(t, line("stderr", "no\n", 0), exitLine(3));
  const answer = await handleCodeExecutionToolUse(use("bash_code_execution", { command: "x" }), sandbox);
  assert.equal(textIn(answer), "stdout:\n\nstderr:\nno\n\nexit_code: 3");
  assert.equal(answer.is_error, true);
});

test("the program may limit what the helper answers and how long it takes", async (t) => {
  const { sandbox, server } = await saying(t, line("stdout", "x".repeat(50), 0), exitLine());
  const call = use("code_execution", { code: "x" });
  const options = { maxCharacters: 10, timeoutSeconds: 7 };
  assert.match(textIn(await handleCodeExecutionToolUse(call, sandbox, options)), /^stdout:\nx{6}\n\[… 40 /);
  assert.equal(server.asked[0]?.json().timeout_seconds, 7);
  const whole = textIn(await handleCodeExecutionToolUse(call, sandbox));
  assert.match(whole, /^stdout:\nx{50}\n/);
});

test("a block that is no call of a client's tool is refused", async (t) => {
  const { sandbox, server } = await saying(t, exitLine());
  await assert.rejects(handleCodeExecutionToolUse({ type: "server_tool_use" }, sandbox), {
    name: "TypeError",
    message:
      "a block of type 'server_tool_use' can't be answered: the provider has run it already and its " +
      "result is in the same message",
  });
  await assert.rejects(handleCodeExecutionToolUse({ type: "text" }, sandbox), {
    message: "a block of type 'text' can't be answered: it is no tool call",
  });
  assert.equal(server.asked.length, 0);
});

test("the model is told of an unknown tool and of a wrong input", async (t) => {
  const { sandbox, server } = await saying(t, exitLine());
  assert.equal(
    textIn(await handleCodeExecutionToolUse(use("fly", {}), sandbox)),
    "error: unknown tool 'fly'. The tools here are code_execution, bash_code_execution, " +
      "text_editor_code_execution",
  );
  for (const input of [{}, null, "x", ["code"], { code: 5 }]) {
    const wrong = await handleCodeExecutionToolUse(use("code_execution", input), sandbox);
    assert.equal(wrong.is_error, true);
    assert.equal(textIn(wrong), "error: the input needs 'code', a string. Call again with it");
  }
  assert.equal(server.asked.length, 0);
});

test("figures are image blocks after the text, as many as the program wants", async (t) => {
  const figure = (seq: number): string =>
    line("result", { "text/plain": "<Figure>", "image/png": `${PNG}\n` }, seq);
  const { sandbox } = await saying(t, line("stdout", "drawn\n", 0), figure(1), figure(2), exitLine());
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
  const turn = { content: [use("run_python", { code: "x" }), use("code_execution", { code: "x" })] };
  const [plain, exact] = resultsOf(await runTools(turn, sandbox));
  assert.deepEqual(plain?.content, [{ type: "text", text: "drawn" }, image, image]);
  assert.deepEqual(exact?.content, [
    { type: "text", text: "stdout:\ndrawn\n\nstderr:\n\nexit_code: 0" },
    image,
    image,
  ]);
  const [fewer, fewerExact] = resultsOf(await runTools(turn, sandbox, { maxImages: 1 }));
  for (const one of [fewer, fewerExact]) {
    assert.deepEqual(one?.content.slice(1), [image]);
    assert.match(textIn(one as never), /\n\[a picture is left out: at most 1 are shown at once\./);
  }
});

test("an error of the sandbox is told, and the other calls are still answered", async (t) => {
  const { sandbox, client } = await sandboxOn(t, (_, response) => refuse(response, 409, "sandbox_busy"));
  const turn = { content: [use("run_python", { code: "x" }), use("bash", { restart: true })] };
  const results = resultsOf(await runTools(turn, sandbox));
  assert.deepEqual(results.map((one) => one.is_error), [true, true]);
  for (const one of results) {
    const busy = "error: it is sandbox_busy. Other code still runs in it. Wait for that, then try again.";
    assert.equal(textIn(one), busy);
  }
  client.close();
  const away = new Sandbox({ client: new Client({ host: "http://127.0.0.1:1", apiKey: "k" }) });
  assert.match(
    await textOf(away, "run_python", { code: "x" }),
    /^error: can't reach the Podflare server.*\. Calling again at once does not help\./,
  );
});

test("the definitions are what the Messages API's own types want", () => {
  const given: Anthropic.ToolUnion[] = [...tools];
  const more: Anthropic.ToolUnion = runBash;
  assert.equal(more.name, "run_bash");
  assert.deepEqual(given.map((tool) => "name" in tool && tool.name), ["run_python", "bash", "str_replace_based_edit_tool"]);
  assert.equal(bash.type, "bash_20250124");
  assert.equal(textEditor.type, "text_editor_20250728");
  assert.deepEqual(runPython.input_schema, {
    type: "object",
    properties: { code: { type: "string", description: "Python source" } },
    required: ["code"],
  });
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
      { ...use("long", {}), id: "toolu_f" },
      { ...use("drawing", {}), id: "toolu_g" },
      { ...use("silent", {}), id: "toolu_h" },
    ],
  };
  const before = structuredClone(message);
  const answers = await runTools(message, sandbox, {
    others: {
      weather: (input) => `sunny in ${(input as { city: string }).city}`,
      broken: () => {
        throw new RangeError("no such city");
      },
      long: async () => "x".repeat(50),
      drawing: () => [{ type: "image", source: { type: "base64", media_type: "image/png", data: PNG } }],
      silent: () => "",
    },
    maxCharacters: 40,
  });
  assert.deepEqual(message, before);
  const next: Anthropic.MessageParam | null = answers;
  assert.equal(next?.role, "user");
  const results = resultsOf(answers);
  assert.deepEqual(results.map((one) => [one.tool_use_id, one.is_error]), [
    ["toolu_a", false],
    ["toolu_b", false],
    ["toolu_c", false],
    ["toolu_d", true],
    ["toolu_e", true],
    ["toolu_f", false],
    ["toolu_g", false],
    ["toolu_h", false],
  ]);
  assert.equal(textIn(results[2] as never), "sunny in Bern");
  assert.equal(textIn(results[3] as never), "error: RangeError: no such city");
  assert.match(
    textIn(results[4] as never),
    /unknown tool 'unknown'\. The tools here are run_python, .*, text_editor_code_execution, weather, broken, long, drawing, silent$/,
  );
  assert.match(textIn(results[5] as never), /^x{24}\n\[… 10 characters are left out here\./);
  assert.equal(results[6]?.content[0]?.type, "image");
  assert.equal(textIn(results[7] as never), "(nothing)");
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
  assert.match(textIn(answers?.content[1] as never), /^error: this call was not carried out: max_tokens ended your turn .* in several steps$/);
  assert.deepEqual(server.asked.map((one) => one.json().code), ["whole"]);
});

test("an aborted signal ends the turn, before a call and in the middle of one", async (t) => {
  const aborted = new AbortController();
  const { sandbox, server } = await sandboxOn(t, ({ url }, response) => {
    if (!url.endsWith("/exec")) return response.end("{}");
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    response.write(line("stdout", "begun", 0), () => aborted.abort());
    return true;
  });
  const turn = { content: [use("run_python", { code: "1" }), use("run_python", { code: "2" })] };
  await assert.rejects(runTools(turn, sandbox, { signal: aborted.signal }), { name: "AbortError" });
  const execs = server.asked.filter((one) => one.url.endsWith("/exec"));
  assert.deepEqual(execs.map((one) => one.json().code), ["1"]);
  await assert.rejects(runTools(turn, sandbox, { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.equal(server.asked.filter((one) => one.url.endsWith("/exec")).length, 1);
});

/** A sandbox that keeps files, and nothing else. */
async function keeping(t: TestContext, files: Record<string, string>) {
  return sandboxOn(t, ({ method, url, body }, response) => {
    const path = new URL(url, "http://host").searchParams.get("path") ?? "";
    if (method === "PUT") {
      files[path] = body;
      return response.end(JSON.stringify({ path, size: body.length }));
    }
    const content = files[path];
    if (path === "folder") return refuse(response, 400, "is_a_directory");
    return content === undefined ? refuse(response, 404, "file_not_found") : response.end(content);
  });
}

test("the editor shows, and says what it changed", async (t) => {
  const files: Record<string, string> = { f: "one\ntwo\nthree\n" };
  const { sandbox } = await keeping(t, files);
  const edit = (input: object): Promise<string> => textOf(sandbox, "str_replace_based_edit_tool", input);
  const plain = (input: object): Promise<string> => textOf(sandbox, "text_editor_code_execution", input);

  assert.equal(await edit({ command: "view", path: "f" }), "     1\tone\n     2\ttwo\n     3\tthree");
  assert.equal(await edit({ command: "view", path: "f", view_range: [2, -1] }), "     2\ttwo\n     3\tthree");
  assert.equal(await plain({ command: "view", path: "f" }), "one\ntwo\nthree\n");
  assert.equal(await plain({ command: "view", path: "f", view_range: [1, 2] }), "one\ntwo\n");
  assert.equal(
    await edit({ command: "create", path: "g", file_text: "a\nb\n" }),
    "g has been written (2 lines)",
  );
  assert.equal(
    await edit({ command: "insert", path: "g", insert_line: 2, insert_text: "c" }),
    "g has been changed:\n     1\ta\n     2\tb\n     3\tc\n     4\t",
  );
  assert.equal(files["g"], "a\nb\nc\n");
  assert.equal(
    await edit({ command: "insert", path: "g", insert_line: 0, new_str: "0\n" }),
    "g has been changed:\n     1\t0\n     2\ta\n     3\tb\n     4\tc\n     5\t",
  );
  // `$&` has a meaning for String.replace, and none here.
  assert.equal(
    await edit({ command: "str_replace", path: "f", old_str: "two", new_str: "$&" }),
    "f has been changed:\n     1\tone\n     2\t$&\n     3\tthree\n     4\t",
  );
  assert.match(await edit({ command: "str_replace", path: "f", old_str: "one\n" }), /^f has been changed/);
  assert.equal(files["f"], "$&\nthree\n");
  await edit({ command: "create", path: "empty", file_text: "" });
  assert.equal(await edit({ command: "view", path: "empty" }), "(empty is empty)");
});

test("an error about a path names it", async (t) => {
  const { sandbox } = await keeping(t, {});
  const edit = (input: object): Promise<string> => textOf(sandbox, "str_replace_based_edit_tool", input);
  assert.equal(
    await edit({ command: "view", path: "missing" }),
    "error: missing: it is file_not_found. List the directory to see what is there, and mind that a " +
      "relative path begins at /root.",
  );
  assert.equal(
    await edit({ command: "str_replace", path: "folder", old_str: "x", new_str: "y" }),
    "error: folder: it is is_a_directory. Name a file in it.",
  );
  for (const view_range of [[0, 1], [2, 1], [1], "1-2", [1.5, 2]]) {
    assert.match(await edit({ command: "view", path: "f", view_range }), /^error: view_range must be/);
  }
});

test("the ids of files are found wherever they stand", () => {
  const messages = [
    { role: "user", content: [{ type: "container_upload", file_id: "file_1" }] },
    {
      role: "assistant",
      content: [
        { type: "document", source: { type: "file", file_id: "file_2" } },
        {
          type: "code_execution_tool_result",
          content: { type: "code_execution_result", content: [{ file_id: "file_3" }, { file_id: "file_1" }] },
        },
      ],
    },
    { role: "user", content: "file_4" },
  ];
  assert.deepEqual(fileIds(messages), ["file_1", "file_2", "file_3"]);
  assert.deepEqual(fileIds(messages[0]), ["file_1"]);
  assert.deepEqual(fileIds(null), []);
});

/** A Files API that has files by id, and keeps those that are uploaded. */
function filesApi(files: Record<string, { filename: string; text: string }>) {
  const uploaded: File[] = [];
  const client: FilesClient = {
    beta: {
      files: {
        retrieveMetadata: async (id) => ({ filename: files[id]?.filename ?? "" }),
        download: async (id) => new Response(files[id]?.text),
        upload: async ({ file }) => ({ id: `file_up${uploaded.push(file as File)}` }),
      },
    },
  };
  return { client, uploaded };
}

test("a file goes into the folder, whatever its name is", async (t) => {
  const kept: Record<string, string> = {};
  const { sandbox } = await keeping(t, kept);
  const { client } = filesApi({
    file_1: { filename: "../../etc/passwd", text: "one" },
    file_2: { filename: "..", text: "two" },
    file_3: { filename: "/", text: "three" },
    file_4: { filename: "ü.csv", text: "" },
  });
  const ids = ["file_1", "file_2", "file_3", "file_4"];
  const paths = ["/in/passwd", "/in/file_2", "/in/file_3", "/in/ü.csv"];
  assert.deepEqual(await putFiles(client, sandbox, ids, "/in/"), paths);
  assert.deepEqual(Object.entries(kept), [
    ["/in/passwd", "one"],
    ["/in/file_2", "two"],
    ["/in/file_3", "three"],
    ["/in/ü.csv", ""],
  ]);
});

test("a file is taken under its own name, with its type", async (t) => {
  const { sandbox } = await keeping(t, { "/root/out/Report.PDF": "%PDF", plain: "x" });
  const { client, uploaded } = filesApi({});
  assert.deepEqual(await takeFiles(client, sandbox, ["/root/out/Report.PDF", "plain"]), ["file_up1", "file_up2"]);
  assert.deepEqual(
    uploaded.map(({ name, type }) => [name, type]),
    [
      ["Report.PDF", "application/pdf"],
      ["plain", "application/octet-stream"],
    ],
  );
  assert.equal(await uploaded[0]?.text(), "%PDF");
  await assert.rejects(takeFiles(client, sandbox, ["missing"]), { name: "NotFoundError" });
});
