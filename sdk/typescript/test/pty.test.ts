import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { Client, Sandbox } from "podflare";
import type { PodflareError } from "podflare";

import { KEY, SANDBOX_ID, ScriptedServer, all, eventually, json, refuse } from "./support.js";

const PTY_ID = "pty_" + "0123456789abcdef".repeat(2);
const HELLO = JSON.stringify({ pty: PTY_ID, pid: 7 });

/** The server's side of one WebSocket. */
class Peer {
  readonly texts: any[] = [];
  readonly bytes: Buffer[] = [];
  readonly closes: number[] = [];
  #have: Buffer = Buffer.alloc(0);

  constructor(
    readonly request: IncomingMessage,
    readonly stream: Duplex,
  ) {
    stream.on("data", (data: Buffer) => this.#feed(data));
    stream.on("error", () => {}); // The client may break off; tests look at what it sent before.
  }

  frame(type: number, payload: string | Buffer, last = true): void {
    const bytes = Buffer.from(payload as string);
    const head =
      bytes.length < 126
        ? Buffer.from([(last ? 0x80 : 0) | type, bytes.length])
        : bytes.length < 65536
          ? Buffer.from([(last ? 0x80 : 0) | type, 126, bytes.length >> 8, bytes.length & 255])
          : Buffer.concat([
              Buffer.from([(last ? 0x80 : 0) | type, 127, 0, 0, 0, 0]),
              Buffer.from(Uint32Array.of(bytes.length).buffer).reverse(),
            ]);
    this.stream.write(Buffer.concat([head, bytes]));
  }

  close(code: number): void {
    this.frame(8, Buffer.from([code >> 8, code & 255]));
    this.stream.end();
  }

  get typed(): string {
    return Buffer.concat(this.bytes).toString();
  }

  #feed(data: Buffer): void {
    this.#have = Buffer.concat([this.#have, data]);
    while (this.#have.length >= 2) {
      const type = (this.#have[0] as number) & 15;
      let length = (this.#have[1] as number) & 127;
      let at = 2;
      if (length === 126) [length, at] = [this.#have.readUInt16BE(2), 4];
      else if (length === 127) [length, at] = [Number(this.#have.readBigUInt64BE(2)), 10];
      assert((this.#have[1] as number) & 128, "a client masks its frames");
      if (this.#have.length < at + 4 + length) return;
      const mask = this.#have.subarray(at, at + 4);
      const payload = Buffer.from(this.#have.subarray(at + 4, at + 4 + length));
      payload.forEach((byte, i) => (payload[i] = byte ^ (mask[i & 3] as number)));
      this.#have = this.#have.subarray(at + 4 + length);
      if (type === 1) this.texts.push(JSON.parse(payload.toString()));
      else if (type === 2) this.bytes.push(payload);
      else if (type === 8) this.closes.push(payload.readUInt16BE(0));
      else if (type === 10) this.texts.push({ pong: payload.toString() });
    }
  }
}

async function terminalServer(
  t: TestContext,
  script: (peer: Peer) => void,
): Promise<{ sandbox: Sandbox; peers: Peer[]; server: ScriptedServer }> {
  const peers: Peer[] = [];
  const server = new ScriptedServer((asked, response) =>
    asked.url.startsWith(`/v1/sandboxes/${SANDBOX_ID}/pty`)
      ? asked.url.includes("/ptys")
        ? asked.method === "DELETE"
          ? response.writeHead(204).end()
          : json(response, { ptys: [{ id: PTY_ID, exit_code: null, created_at: 4 }] })
        : refuse(response, 429, "too_many_ptys")
      : undefined,
  );
  server.http.on("upgrade", (request: IncomingMessage, stream: Duplex) => {
    if (request.url?.includes("refuse")) {
      const body = JSON.stringify({ error: "no more", code: "too_many_ptys", hint: "close one" });
      stream.end(`HTTP/1.1 429 No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
      return;
    }
    const accept = createHash("sha1")
      .update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
      .digest("base64");
    stream.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: podflare\r\n\r\n`,
    );
    const peer = new Peer(request, stream);
    peers.push(peer);
    script(peer);
  });
  await server.start();
  t.after(() => server.stop());
  const client = new Client({ host: server.host, apiKey: KEY });
  return { sandbox: await Sandbox.create({ client }), peers, server };
}

for (const runtime of ["without", "with"]) {
  /** Tests run twice: with the client here, and with a WebSocket of the runtime's own. */
  const test_ = (name: string, body: (t: TestContext) => Promise<void>): void => {
    void test(`${name} (${runtime} a WebSocket of the runtime)`, async (t) => {
      const before = (globalThis as { WebSocket?: unknown }).WebSocket;
      const { WebSocket } = await import("ws");
      (globalThis as { WebSocket?: unknown }).WebSocket = runtime === "with" ? WebSocket : undefined;
      t.after(() => ((globalThis as { WebSocket?: unknown }).WebSocket = before));
      await body(t);
    });
  };

  test_("a terminal is typed into, resized, signalled and read to its end", async (t) => {
    const { sandbox, peers } = await terminalServer(t, (peer) => {
      peer.frame(1, HELLO);
      peer.frame(2, "$ ");
    });
    const pty = await sandbox.pty.create({ cmd: "sh", cols: 100, rows: 30, cwd: "/tmp" });
    assert.equal(pty.id, PTY_ID);
    assert.equal(pty.pid, 7);
    const [peer] = peers as [Peer];
    assert.equal(
      peer.request.url,
      `/v1/sandboxes/${SANDBOX_ID}/pty?cmd=sh&cols=100&rows=30&cwd=/tmp`,
    );
    const { headers } = peer.request;
    if (runtime === "with") assert.equal(headers["sec-websocket-protocol"], `podflare,podflare.bearer.${KEY}`);
    else assert.equal(headers.authorization, `Bearer ${KEY}`);
    pty.sendInput("ls\n");
    pty.sendInput(new Uint8Array(70_000).fill(120));
    pty.resize({ cols: 10, rows: 5 });
    pty.resize(11, 6);
    pty.signal("SIGINT");
    await eventually(() => peer.texts.length === 3);
    assert.equal(peer.typed, "ls\n" + "x".repeat(70_000));
    assert.deepEqual(peer.texts, [
      { resize: { cols: 10, rows: 5 } },
      { resize: { cols: 11, rows: 6 } },
      { signal: "SIGINT" },
    ]);
    peer.frame(2, "bye");
    peer.frame(1, JSON.stringify({ exit: { code: 130 } }));
    peer.close(1000);
    assert.deepEqual(await pty.wait(), { exitCode: 130, reason: undefined });
    assert.equal(Buffer.concat(await all(pty)).toString(), "$ bye");
    assert.throws(() => pty.sendInput("x"), { code: "pty_ended" });
  });

  test_("output comes whole through large and broken-up frames and pings", async (t) => {
    const large = "y".repeat(100_000);
    const { sandbox, peers } = await terminalServer(t, (peer) => {
      peer.frame(1, HELLO);
      peer.frame(2, "one ", false);
      peer.frame(9, "alive?");
      peer.frame(0, "two ", false);
      peer.frame(0, "three ");
      peer.frame(2, large);
      peer.frame(1, JSON.stringify({ exit: { code: 137, reason: "killed" } }));
      peer.close(1000);
    });
    let output = "";
    const pty = await sandbox.pty.create({ onData: (bytes) => (output += Buffer.from(bytes)) });
    assert.deepEqual(await pty.wait(), { exitCode: 137, reason: "killed" });
    assert.equal(output, "one two three " + large);
    await eventually(() => peers[0]?.texts.some((text) => text.pong === "alive?") === true);
  });

  test_("detaching leaves it running, and attaching goes back to it", async (t) => {
    const { sandbox, peers } = await terminalServer(t, (peer) => {
      peer.frame(1, HELLO);
      peer.stream.on("data", () => {
        if (peer.closes.length > 0) peer.close(1000);
      });
    });
    const pty = await sandbox.pty.create();
    await pty.detach();
    await assert.rejects(pty.wait(), { code: "pty_detached" });
    assert.deepEqual(peers[0]?.closes, [1000]);
    assert.deepEqual(peers[0]?.texts, []);
    const again = await sandbox.pty.attach(PTY_ID);
    assert.equal(peers[1]?.request.url, `/v1/sandboxes/${SANDBOX_ID}/pty?pty=${PTY_ID}`);
    await again.detach();
  });

  test_("the end of a block kills the terminal", async (t) => {
    const { sandbox, peers } = await terminalServer(t, (peer) => {
      peer.frame(1, HELLO);
      peer.stream.on("data", () => {
        if (!peer.texts.some((text) => text.kill)) return;
        peer.frame(1, JSON.stringify({ exit: { code: 137 } }));
        peer.close(1000);
      });
    });
    {
      await using pty = await sandbox.pty.create();
      assert.equal(pty.pid, 7);
    }
    assert.deepEqual(peers[0]?.texts, [{ kill: true }]);
    const timed = await sandbox.pty.create({ timeoutMs: 20 });
    assert.equal((await timed.wait()).exitCode, 137);
  });

  test_("another reader takes over, and a broken connection is told", async (t) => {
    let end = (peer: Peer): unknown => peer.close(4001);
    const { sandbox } = await terminalServer(t, (peer) => {
      peer.frame(1, HELLO);
      end(peer);
    });
    await assert.rejects((await sandbox.pty.create()).wait(), { code: "pty_taken_over" });
    end = (peer) => setImmediate(() => peer.stream.destroy());
    await assert.rejects((await sandbox.pty.create()).wait(), { code: "cut_off" });
  });

  test_("a refusal says why", async (t) => {
    const { sandbox } = await terminalServer(t, () => {});
    await assert.rejects(sandbox.pty.create({ cmd: "refuse" }), (error: PodflareError) => {
      assert.equal(error.code, "too_many_ptys");
      assert.equal(error.status, 429);
      return true;
    });
  });
}

test("a frame that no server may send ends the connection", async (t) => {
  const before = (globalThis as { WebSocket?: unknown }).WebSocket;
  (globalThis as { WebSocket?: unknown }).WebSocket = undefined;
  t.after(() => ((globalThis as { WebSocket?: unknown }).WebSocket = before));
  let bad = Buffer.alloc(0);
  const { sandbox } = await terminalServer(t, (peer) => {
    peer.frame(1, HELLO);
    peer.stream.write(bad);
  });
  for (bad of [
    Buffer.from([0xc2, 0]),
    Buffer.from([0x82, 0x80, 0, 0, 0, 0]),
    Buffer.from([0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]),
    Buffer.from([0x87, 0]),
  ]) {
    await assert.rejects((await sandbox.pty.create()).wait(), { code: "cut_off" });
  }
});

test("terminals are listed and killed by id", async (t) => {
  const { sandbox, server } = await terminalServer(t, () => {});
  const [info] = await sandbox.pty.list();
  assert.equal(info?.createdAt, 4);
  assert.equal(info?.exitCode, null);
  await sandbox.pty.kill(PTY_ID);
  assert.equal(server.targets().at(-1), `DELETE /v1/sandboxes/${SANDBOX_ID}/ptys/${PTY_ID}`);
});
