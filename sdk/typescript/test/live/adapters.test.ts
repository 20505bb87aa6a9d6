/** The adapters with their real frameworks, a scripted model, and a real sandbox. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { GoogleGenAI } from "@google/genai";
import { ToolMessage } from "@langchain/core/messages";
import { Agent, Runner, Usage, setTracingDisabled } from "@openai/agents";
import type { Model, ModelRequest, ModelResponse } from "@openai/agents";
import { generateText, stepCountIs, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { podflareRunCode } from "podflare/ai-sdk";
import { answerFunctionCall, podflareFunctionDeclaration, runFunctionCall } from "podflare/gemini";
import { PodflareTool } from "podflare/langchain";
import { podflareCodeInterpreter } from "podflare/openai-agents";

import { liveSandbox } from "./live.js";

test("AI SDK: a model calls the tool, and gets one text for each call", async (t) => {
  const sandbox = await liveSandbox(t);
  const codes = ["x = 20", "print(x); x + 1", "1/0"];
  const prompts: any[] = [];
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  };
  const model = new MockLanguageModelV3({
    doGenerate: async ({ prompt, tools }) => {
      prompts.push({ prompt, tools });
      const code = codes.shift();
      return code === undefined
        ? {
            content: [{ type: "text", text: "done" }],
            finishReason: { unified: "stop", raw: "stop" },
            usage,
            warnings: [],
          }
        : {
            content: [
              { type: "tool-call", toolCallId: `c${codes.length}`, toolName: "run_python", input: JSON.stringify({ code }) },
            ],
            finishReason: { unified: "tool-calls", raw: "tool_use" },
            usage,
            warnings: [],
          };
    },
  });
  const { text, steps } = await generateText({
    model,
    prompt: "compute",
    tools: { run_python: podflareRunCode({ sandbox }) },
    stopWhen: stepCountIs(8),
  });
  assert.equal(text, "done");
  const outputs = steps.flatMap((step) => step.toolResults.map((result) => result.output));
  assert.equal(outputs[0], "(it ran to its end and printed nothing)");
  assert.equal(outputs[1], "20\n21");
  assert.match(String(outputs[2]), /^stderr:\nTraceback [^]*ZeroDivisionError[^]*\nexit code: 1$/);
  assert.deepEqual(prompts[0].tools[0].inputSchema.required, ["code"]);
});

test("AI SDK: the tool may be wrapped in tool(), and makes a sandbox if none is given", async () => {
  const wrapped = tool(podflareRunCode({ sandboxOptions: { idleTimeoutSeconds: 5 } }));
  const run = wrapped.execute as (input: { code: string; language?: "bash" }, options: object) => Promise<string>;
  await run({ code: "x = 1" }, {});
  assert.equal(await run({ code: "print(x)" }, {}), "1");
  assert.equal(await run({ code: "echo $((6 * 7))", language: "bash" }, {}), "42");
});

test("OpenAI Agents: an agent calls the tool and its run ends with the answer", async (t) => {
  setTracingDisabled(true);
  const sandbox = await liveSandbox(t);
  const codes = ["x = 111 * 111", "print(x)"];
  const requests: ModelRequest[] = [];
  const model: Model = {
    getResponse: async (request): Promise<ModelResponse> => {
      requests.push(request);
      const code = codes.shift();
      return {
        usage: new Usage(),
        output: [
          code === undefined
            ? {
                type: "message",
                role: "assistant",
                status: "completed",
                content: [{ type: "output_text", text: "It is 12321." }],
              }
            : {
                type: "function_call",
                callId: `c${codes.length}`,
                name: "run_code",
                status: "completed",
                arguments: JSON.stringify({ code, language: "python" }),
              },
        ],
      };
    },
    getStreamedResponse: () => {
      throw new Error("this test does not stream");
    },
  };
  const agent = new Agent({ name: "assistant", model, tools: [podflareCodeInterpreter({ sandbox })] });
  const result = await new Runner().run(agent, "what is 111 * 111?");
  assert.equal(result.finalOutput, "It is 12321.");
  const items = requests.at(-1)?.input as any[];
  assert.deepEqual(items.at(-1).output, { type: "text", text: "12321" });
  assert.equal((requests[0]?.tools[0] as { name?: string }).name, "run_code");
});

test("LangChain: a tool call gives a tool message", async (t) => {
  const sandbox = await liveSandbox(t);
  const runner = new PodflareTool({ sandbox });
  const call = { type: "tool_call" as const, id: "c1", name: "run_python", args: { code: "print(6 * 7)" } };
  const message = (await runner.invoke(call)) as ToolMessage;
  assert(message instanceof ToolMessage);
  assert.equal(message.content, "42");
  assert.equal(message.tool_call_id, "c1");
  assert.match(String(await runner.invoke({ code: "raise ValueError(5)" })), /ValueError: 5[^]*exit code: 1/);
  assert.equal(runner.name, "run_python");
});

test("Gemini: the declaration is sent, and the call's answer goes back", async (t) => {
  const sandbox = await liveSandbox(t);
  const bodies: any[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      bodies.push(JSON.parse(Buffer.concat(pieces).toString()));
      const part =
        bodies.length === 1
          ? { functionCall: { id: "f1", name: "run_python", args: { code: "print(2 ** 10); 5" } } }
          : { text: "It is 1024." };
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ candidates: [{ content: { role: "model", parts: [part] } }] }));
    });
  });
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new GoogleGenAI({ apiKey: "fake", httpOptions: { baseUrl } });
  const contents: any[] = [{ role: "user", parts: [{ text: "2 to the 10th?" }] }];
  let text: string | undefined;
  while (text === undefined) {
    const response = await client.models.generateContent({
      model: "gemini-fake",
      contents,
      config: { tools: [{ functionDeclarations: [podflareFunctionDeclaration()] }] },
    });
    contents.push(response.candidates?.[0]?.content);
    const calls = response.functionCalls ?? [];
    if (calls.length === 0) text = response.text ?? "";
    else contents.push({ role: "user", parts: await Promise.all(calls.map((call) => answerFunctionCall(call, sandbox))) });
  }
  assert.equal(text, "It is 1024.");
  assert.equal(bodies[0].tools[0].functionDeclarations[0].name, "run_python");
  assert.deepEqual(bodies[1].contents.at(-1).parts, [
    {
      functionResponse: {
        id: "f1",
        name: "run_python",
        response: { output: "1024\n5" },
      },
    },
  ]);
  assert.match(String((await runFunctionCall({ name: "fly" }, sandbox) as { error: string }).error), /^error: unknown tool 'fly'\. The tools here are run_python$/);
});
