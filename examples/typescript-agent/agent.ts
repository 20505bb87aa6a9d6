/**
 * An agent that analyses files: it is given a question and local files, writes and runs code in a
 * sandbox until it knows the answer, and leaves the figures that it drew in this folder.
 *
 *     ./podflare up --detach
 *     (cd sdk/typescript && npm ci) && cd examples/typescript-agent && npm install
 *     ANTHROPIC_API_KEY=… npm start -- "In which month is CO2 highest?" ../data/co2.csv
 *
 * Without a key: ../recorded picture npm start -- "Draw a line."
 *
 * The sandbox has no internet, and ends with the program.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

import Anthropic from "@anthropic-ai/sdk";
import { Sandbox } from "podflare";
import { runPython, runTools, textEditor } from "podflare/anthropic";

const MODEL = process.env.ANTHROPIC_MODEL ?? "claude-opus-4-7";
const MOST_TURNS = 30;

const [question, ...paths] = process.argv.slice(2);
if (question === undefined) {
  console.error("usage: npm start -- QUESTION [FILE]…");
  process.exit(2);
}
if (!process.env.ANTHROPIC_API_KEY) {
  console.error(
    "agent: set ANTHROPIC_API_KEY to a key of Anthropic's API," +
      ' or see it with a recorded model: ../recorded picture npm start -- "Draw a line."',
  );
  process.exit(2);
}
process.on("uncaughtException", (error) => {
  console.error(`agent: ${error.message}`);
  process.exit(1);
});

const client = new Anthropic();
await using sandbox = await Sandbox.create({ egress: false });
for (const path of paths) await sandbox.upload(basename(path), readFileSync(path));

const files = paths.map((path) => `/root/${basename(path)}`).join(", ");
const messages: Anthropic.MessageParam[] = [
  { role: "user", content: files ? `${question}\n\nFiles in the sandbox: ${files}` : question },
];
let figures = 0;

for (let turn = 0; ; turn++) {
  if (turn === MOST_TURNS) throw new Error(`no answer after ${MOST_TURNS} turns`);
  const stream = client.messages.stream({
    model: MODEL,
    max_tokens: 4096,
    tools: [runPython, textEditor],
    messages,
  });
  stream.on("text", (text) => process.stdout.write(text));
  const message = await stream.finalMessage();
  messages.push({ role: "assistant", content: message.content });
  if (message.stop_reason !== "tool_use" && message.stop_reason !== "pause_turn") break;

  const answers = await runTools(message, sandbox, { timeoutSeconds: 120 });
  for (const { content, is_error } of answers?.content ?? []) {
    for (const block of content) {
      if (block.type === "image") {
        const name = `figure-${++figures}.png`;
        writeFileSync(name, Buffer.from(block.source.data, "base64"));
        console.error(`\n[figure → ${name}]`);
      } else if (is_error) {
        console.error(`\n[${block.text.trim().split("\n").at(-1)}]`);
      }
    }
  }
  if (answers !== null) messages.push(answers);
}
console.log();
