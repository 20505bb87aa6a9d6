/**
 * A small fake of the Messages API that replays a whole conversation. It refuses what the real one
 * refuses: a call whose answer is missing, an answer to a call that was not made, and an answer to
 * what a server tool did.
 */

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

/** One answer of the API: a message, or a failure. */
export interface Turn {
  content?: object[];
  stop_reason?: string;
  /** Answer this status and error type in place of a message. */
  fails?: { status: number; type: string };
}

/** A body that the API was sent. */
export interface Body {
  messages: { role: string; content: any }[];
  tools?: { name: string; type?: string }[];
  stream?: boolean;
  container?: string;
}

export class FakeAnthropic {
  readonly bodies: Body[] = [];
  readonly client: Anthropic;

  private constructor(
    readonly turns: Turn[],
    baseURL: string,
  ) {
    this.client = new Anthropic({ apiKey: "sk-ant-fake", baseURL, maxRetries: 2 });
  }

  static async start(t: TestContext, turns: Turn[]): Promise<FakeAnthropic> {
    const server = createServer();
    await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const fake = new FakeAnthropic(turns, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on("request", (request, response) => void fake.#answer(request, response));
    return fake;
  }

  /** What the last call sent as its last message. */
  get lastContent(): any {
    return this.bodies.at(-1)?.messages.at(-1)?.content;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = JSON.parse(Buffer.concat(pieces).toString("utf8")) as Body;
    const wrong = request.url === "/v1/messages" ? whatIsWrong(body.messages) : `no ${request.url}`;
    if (wrong !== undefined) return refuse(response, 400, "invalid_request_error", wrong);
    this.bodies.push(body);
    const turn = this.turns.shift();
    if (turn === undefined) return refuse(response, 400, "invalid_request_error", "the script is over");
    if (turn.fails) return refuse(response, turn.fails.status, turn.fails.type, "as the script says");
    const message = {
      id: `msg_${this.bodies.length}`,
      type: "message",
      role: "assistant",
      model: "fake",
      content: turn.content ?? [],
      stop_reason: turn.stop_reason ?? "end_turn",
      stop_sequence: null,
      usage: { input_tokens: 1, output_tokens: 1 },
    };
    if (body.stream) return stream(response, message);
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(message));
  }
}

function refuse(response: ServerResponse, status: number, type: string, message: string): void {
  response.writeHead(status, { "Content-Type": "application/json", "retry-after-ms": "1" });
  response.end(JSON.stringify({ type: "error", error: { type, message } }));
}

function whatIsWrong(messages: Body["messages"]): string | undefined {
  for (const [i, message] of messages.entries()) {
    const blocks = Array.isArray(message.content) ? (message.content as any[]) : [];
    const answers = blocks.filter((block) => block.type === "tool_result").map((one) => one.tool_use_id);
    const before = messages[i - 1]?.content;
    const calls = (Array.isArray(before) ? before : [])
      .filter((block: any) => block.type === "tool_use")
      .map((block: any) => block.id);
    if (message.role === "user" && String(answers) !== String(calls)) {
      return `messages.${i}: tool_result blocks ${answers} do not match the calls ${calls}`;
    }
    if (blocks.some((block) => block.type === "tool_result" && block.content?.length === 0)) {
      return `messages.${i}: empty content`;
    }
  }
  return undefined;
}

function stream(response: ServerResponse, message: any): void {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (event: any): unknown =>
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  send({ type: "message_start", message: { ...message, content: [], stop_reason: null } });
  for (const [index, block] of message.content.entries()) {
    const isText = block.type === "text";
    const isCall = block.type === "tool_use" || block.type === "server_tool_use";
    const empty = isText ? { ...block, text: "" } : isCall ? { ...block, input: {} } : block;
    send({ type: "content_block_start", index, content_block: empty });
    const whole = isText ? block.text : isCall ? JSON.stringify(block.input) : "";
    for (let at = 0; at < whole.length; at += 5) {
      const piece = whole.slice(at, at + 5);
      const delta = isText
        ? { type: "text_delta", text: piece }
        : { type: "input_json_delta", partial_json: piece };
      send({ type: "content_block_delta", index, delta });
    }
    send({ type: "content_block_stop", index });
  }
  const { stop_reason } = message;
  send({ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 1 } });
  send({ type: "message_stop" });
  response.end();
}

export function say(text: string): object {
  return { type: "text", text };
}

let calls = 0;

/** A call of a client tool. */
export function call(name: string, input: object) {
  return { type: "tool_use", id: `toolu_${++calls}`, name, input };
}
