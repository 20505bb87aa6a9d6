/** What the tests share: a server whose answers a test scripts, and an environment without configuration. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { TestContext } from "node:test";

import { Client, Sandbox } from "podflare";

export const SANDBOX_ID = "sbx_" + "0123456789abcdef".repeat(2);
export const EXEC_ID = "exe_" + "0123456789abcdef".repeat(2);
export const KEY = "pf_live_test";

/** A request as it came. */
export interface Asked {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
  /** Counts from 0. */
  connection: number;
  json(): any;
}

type Script = (asked: Asked, response: ServerResponse) => unknown;

/** An HTTP server that creates and closes sandboxes; all else is up to the script. */
export class ScriptedServer {
  readonly asked: Asked[] = [];
  readonly sockets: Socket[] = [];
  host = "";
  readonly http = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
    void this.#answer(request, response);
  });

  constructor(readonly script: Script) {
    this.http.on("connection", (socket: Socket) => this.sockets.push(socket));
  }

  targets(): string[] {
    return this.asked.map((one) => `${one.method} ${one.url}`);
  }

  async start(): Promise<void> {
    await new Promise<void>((up) => this.http.listen(0, "127.0.0.1", up));
    this.host = `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.http.closeAllConnections();
    for (const socket of this.sockets) socket.destroy();
    await new Promise((down) => this.http.close(down));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.sockets.indexOf(request.socket);
    const { method = "", url = "", headers } = request;
    const early = { method, url, headers, body: "", connection, json: () => null };
    if (url.includes("early")) {
      this.asked.push(early);
      this.script(early, response);
      return;
    }
    const pieces: Buffer[] = [];
    try {
      for await (const piece of request) pieces.push(piece as Buffer);
    } catch {
      return; // The client broke off in the middle of an upload.
    }
    const body = Buffer.concat(pieces).toString("utf8");
    const asked: Asked = { ...early, body, json: () => JSON.parse(body) as unknown };
    this.asked.push(asked);
    if (method === "DELETE" && /^\/v1\/sandboxes\/[^/]+$/.test(url)) {
      response.writeHead(204).end();
      return;
    }
    const answered = this.script(asked, response);
    if (answered === undefined && method === "POST" && url === "/v1/sandboxes") {
      if (!response.headersSent && !response.destroyed) json(response, { id: SANDBOX_ID, state: "ready" });
    }
  }
}

export async function serve(t: TestContext, script: Script): Promise<ScriptedServer> {
  const server = new ScriptedServer(script);
  await server.start();
  t.after(() => server.stop());
  return server;
}

export function clientOf(t: TestContext, server: ScriptedServer, more = {}): Client {
  const client = new Client({ host: server.host, apiKey: KEY, ...more });
  t.after(() => client.close());
  return client;
}

/** A sandbox on a scripted server. */
export async function sandboxOn(
  t: TestContext,
  script: Script,
): Promise<{ sandbox: Sandbox; server: ScriptedServer; client: Client }> {
  let made = false;
  const server = await serve(t, (asked, response) => (made ? script(asked, response) : undefined));
  const client = clientOf(t, server);
  const sandbox = await Sandbox.create({ client });
  made = true;
  server.asked.length = 0;
  return { sandbox, server, client };
}

export function json(response: ServerResponse, value: unknown, status = 200, headers = {}): true {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
  return true;
}

export function refuse(response: ServerResponse, status: number, code: string): true {
  return json(response, { error: `it is ${code}`, code, hint: "do else" }, status, {
    "X-Request-Id": "req_1",
  });
}

export function line(type: string, data: unknown, seq: number, more = {}): string {
  return JSON.stringify({ type, data, seq, ts: 1776510028036, ...more }) + "\n";
}

export function exitLine(code = 0, seq = 9, more = {}): string {
  const facts = { reason: code === 0 ? "ok" : "error", state_kept: true, duration_ms: 1 };
  return line("exit", code, seq, { ...facts, ...more });
}

/** Answers a stream of events. */
export function events(response: ServerResponse, lines: string[], headers = {}): true {
  response.writeHead(200, { "Content-Type": "application/x-ndjson", ...headers });
  for (const one of lines) response.write(one);
  response.end();
  return true;
}

/** Sends the lines, then breaks the connection. */
export function breakAfter(response: ServerResponse, lines: string[], headers = {}): true {
  response.writeHead(200, { "Content-Type": "application/x-ndjson", ...headers });
  for (const one of lines) response.write(one);
  response.write("", () => setImmediate(() => response.socket?.destroy()));
  return true;
}

/** An empty home and no variables of Podflare, as long as the test runs. */
export function cleanEnvironment(t: TestContext): string {
  const before = { ...process.env };
  const home = mkdtempSync(join(tmpdir(), "pf-ts-"));
  for (const name of Object.keys(process.env)) {
    if (/^(PODFLARE_|XDG_)/.test(name)) delete process.env[name];
  }
  process.env["HOME"] = home;
  t.after(() => {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, before);
    rmSync(home, { recursive: true });
  });
  return home;
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found = [];
  for await (const one of items) found.push(one);
  return found;
}

/** Resolves when `holds` does; for what happens in the server. */
export async function eventually(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never: ${holds}`);
    await new Promise((soon) => setTimeout(soon, 5));
  }
}
