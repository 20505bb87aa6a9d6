/** Long commands, terminals and repeated calls, on a real server. */

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { Client, Sandbox } from "podflare";

import { all, eventually } from "../support.js";
import { liveSandbox } from "./live.js";

/** A way to the server on which connections can be broken. */
async function fragile(t: TestContext): Promise<{ client: Client; cut: () => void; uses: () => number }> {
  // The key of the credentials file is sent to no other address, so it is named here.
  const real = new Client() as unknown as { host: string; settings: { apiKey?: string } };
  const { hostname, port } = new URL(real.host);
  const open = new Set<Socket>();
  let uses = 0;
  const proxy = createServer((near) => {
    uses++;
    const far = connect(Number(port), hostname);
    for (const [one, other] of [[near, far], [far, near]] as const) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((up) => proxy.listen(0, "127.0.0.1", up));
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  t.after(() => {
    cut();
    proxy.close();
  });
  const host = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return { client: new Client({ host, apiKey: real.settings.apiKey }), cut, uses: () => uses };
}

test("a stream goes on where it was when its connection breaks, and nothing runs twice", async (t) => {
  const { client, cut, uses } = await fragile(t);
  const { id } = await liveSandbox(t);
  const sandbox = await Sandbox.connect(id, { client });
  await sandbox.runCode("runs = 0");
  const before = uses();
  let said = "";
  const cuts = ["2", "5"];
  const result = await sandbox.runCode(
    "import time\nruns += 1\nfor i in range(8):\n    print(i, flush=True)\n    time.sleep(0.1)",
    {
      onStdout: (text) => {
        said += text;
        // However the output comes in pieces: once when each of the two is heard.
        if (cuts[0] !== undefined && said.includes(cuts[0])) {
          cuts.shift();
          cut();
        }
      },
    },
  );
  assert.equal(result.stdout, "0\n1\n2\n3\n4\n5\n6\n7\n");
  assert.equal(result.exitCode, 0);
  assert.deepEqual(result.gaps, []);
  assert.deepEqual(cuts, []);
  assert(uses() > before);
  assert.deepEqual((await sandbox.runCode("runs")).result, { "text/plain": "1" });
});

test("code that was started without a reader is found and read by another program", async (t) => {
  const sandbox = await liveSandbox(t);
  const { id } = await sandbox.execs.start("print('alone'); 6 * 7");
  const other = await Sandbox.connect(sandbox.id);
  const result = await other.execs.get(id).wait();
  assert.equal(result.stdout, "alone\n");
  assert.deepEqual(result.result, { "text/plain": "42" });
  const [info] = await other.execs.list();
  assert.deepEqual([info?.id, info?.state, info?.exitCode], [id, "ended", 0]);
});

test("an aborted signal stops the code in the sandbox", async (t) => {
  const sandbox = await liveSandbox(t);
  const control = new AbortController();
  await assert.rejects(
    sandbox.runCode("print('on', flush=True)\nwhile True: pass", {
      signal: control.signal,
      onStdout: () => control.abort(),
      timeoutSeconds: 60,
    }),
    { name: "AbortError" },
  );
  assert.equal((await sandbox.runCode("print('free')")).stdout, "free\n");
  assert.equal((await sandbox.execs.list())[0]?.reason, "interrupted");
});

test("a background command runs beside other code, and is interrupted by its own id", async (t) => {
  const sandbox = await liveSandbox(t);
  const job = await sandbox.execs.start("echo up; sleep 600", { language: "bash", background: true });
  assert.equal((await sandbox.runCode("print(1)")).stdout, "1\n");
  const events = all(job.stream());
  await job.interrupt();
  assert.equal((await events).at(-1)?.type, "exit");
});

test("the same idempotency key makes the same sandbox", async (t) => {
  const key = `typescript-${Date.now()}`;
  const one = await liveSandbox(t, { idempotencyKey: key });
  const other = await Sandbox.create({ metadata: { test: "typescript" }, idempotencyKey: key });
  assert.equal(other.id, one.id);
  await assert.rejects(Sandbox.create({ idempotencyKey: key }), { code: "idempotency_key_reused" });
});

for (const runtime of ["without", "with"]) {
  test(`a terminal is typed into, detached and attached again (${runtime} a WebSocket of the runtime)`, async (t) => {
    const before = (globalThis as { WebSocket?: unknown }).WebSocket;
    const { WebSocket } = await import("ws");
    (globalThis as { WebSocket?: unknown }).WebSocket = runtime === "with" ? WebSocket : undefined;
    t.after(() => ((globalThis as { WebSocket?: unknown }).WebSocket = before));
    const sandbox = await liveSandbox(t);
    let said = "";
    const onData = (bytes: Uint8Array): unknown => (said += Buffer.from(bytes).toString());
    const pty = await sandbox.pty.create({ cmd: "PS1='ready> ' bash --norc -i", cols: 99, rows: 33, onData });
    await eventually(() => said.includes("ready> "));
    pty.sendInput("stty size; echo $((6*7))\n");
    await eventually(() => said.includes("33 99\r\n42\r\n"));
    await pty.detach();
    said = "";
    const again = await sandbox.pty.attach(pty.id, { onData });
    await eventually(() => said.includes("33 99\r\n42\r\n"));
    assert.equal((await sandbox.pty.list())[0]?.attached, true);
    again.sendInput("exit 5\n");
    assert.equal((await again.wait()).exitCode, 5);
    const killed = await sandbox.pty.create({ cmd: "sleep 600" });
    killed.kill();
    assert.equal((await killed.wait()).exitCode, 137);
    await assert.rejects(sandbox.pty.attach("pty_" + "0".repeat(32)), { name: "NotFoundError" });
  });
}
