import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";

import {
  AuthenticationError,
  CapacityError,
  Client,
  ConflictError,
  ConnectionError,
  InvalidRequestError,
  NotFoundError,
  PodflareError,
  QuotaError,
  Sandbox,
  ServerError,
  Space,
  TimeoutError,
} from "podflare";

import { KEY, SANDBOX_ID, clientOf, events, exitLine, json, refuse, sandboxOn, serve } from "./support.js";

test("calls one after the other share a connection, those at once have their own", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => events(response, [exitLine()]));
  for (let i = 0; i < 5; i++) await sandbox.runCode("1");
  assert.deepEqual([...new Set(server.asked.map((one) => one.connection))], [0]);
  await Promise.all([1, 2, 3].map(() => sandbox.runCode("1")));
  assert.equal(server.sockets.length, 3);
});

test("a small request is one packet", async () => {
  const packets: Buffer[] = [];
  const body = JSON.stringify({ id: SANDBOX_ID });
  const server = createServer((socket) => {
    socket.on("data", (data) => {
      packets.push(data);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
  });
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  const client = new Client({
    host: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    apiKey: KEY,
  });
  await Sandbox.create({ client });
  client.close();
  await new Promise((down) => server.close(down));
  assert.equal(packets.length, 1);
});

test("a repeatable call is sent again when the kept-alive connection has died", async (t) => {
  let dies = false;
  const { sandbox, server } = await sandboxOn(t, (_, response) => {
    if (dies) {
      dies = false;
      response.socket?.destroy();
      return true;
    }
    return json(response, { id: SANDBOX_ID, state: "ready" });
  });
  dies = true;
  assert.equal((await sandbox.info()).state, "ready");
  assert.equal(server.asked.length, 2);
});

test("code is never sent twice", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/exec")) response.socket?.destroy();
    return true;
  });
  await assert.rejects(sandbox.runCode("1"), (error: PodflareError) => {
    assert(error instanceof ConnectionError);
    assert.equal(error.code, "outcome_unknown");
    return true;
  });
  assert.deepEqual(server.targets(), [`POST /v1/sandboxes/${SANDBOX_ID}/exec`]);
});

test("create, fork and resume are tried again with the same idempotency key", async (t) => {
  let broken = 0;
  const server = await serve(t, (_, response) => {
    if (broken++ % 2 === 0) {
      response.socket?.destroy();
      return true;
    }
    return json(response, { id: SANDBOX_ID, children: [SANDBOX_ID], spaces: [{ id: "spc_1" }] });
  });
  const client = clientOf(t, server);
  const sandbox = await Sandbox.create({ client });
  await sandbox.fork(1);
  const [space] = await Space.list({ client });
  await space?.resume();
  const keys = server.asked
    .filter((one) => one.method === "POST")
    .map((one) => one.headers["idempotency-key"]);
  assert.equal(keys.length, 6);
  assert.equal(new Set(keys).size, 3);
  assert.equal(keys[0], keys[1]);
  assert.match(String(keys[0]), /^[\x21-\x7e]{1,255}$/);
});

test("an idempotency key of one's own is sent", async (t) => {
  const server = await serve(t, () => undefined);
  const client = clientOf(t, server);
  await Sandbox.create({ client, idempotencyKey: "order-7" });
  assert.equal(server.asked[0]?.headers["idempotency-key"], "order-7");
  await assert.rejects(Sandbox.create({ client, idempotencyKey: "a b" }), InvalidRequestError);
});

test("a repeatable call gives up when the server keeps breaking off", async (t) => {
  const server = await serve(t, (_, response) => {
    response.socket?.destroy();
    return true;
  });
  await assert.rejects(Sandbox.list({ client: clientOf(t, server) }), { code: "outcome_unknown" });
  assert.equal(server.asked.length, 5);
});

test("a server that is not there is an error at once", async () => {
  const began = performance.now();
  await assert.rejects(Sandbox.create({ host: "http://127.0.0.1:1", apiKey: KEY }), (error: PodflareError) => {
    assert(error instanceof ConnectionError);
    assert.equal(error.code, "unreachable");
    assert.match(error.message, /127\.0\.0\.1:1: connection refused/);
    return true;
  });
  assert(performance.now() - began < 20_000);
});

test("a server that stays silent is a TimeoutError", async (t) => {
  const server = await serve(t, () => true);
  const client = clientOf(t, server, { timeoutSeconds: 0.05 });
  await assert.rejects(Sandbox.list({ client }), TimeoutError);
});

test("code may be silent for longer than the client waits for other calls", async (t) => {
  const server = await serve(t, (asked, response) => {
    if (!asked.url.endsWith("/exec")) return undefined;
    setTimeout(() => events(response, [exitLine()]), 3_000);
    return true;
  });
  // So long that no create on a busy host takes it, and much less than the code is silent.
  const sandbox = await Sandbox.create({ client: clientOf(t, server, { timeoutSeconds: 1 }) });
  assert.equal((await sandbox.runCode("1")).exitCode, 0);
});

test("an aborted signal ends a call with its reason", async (t) => {
  const server = await serve(t, () => true);
  const client = clientOf(t, server);
  const waiting = new AbortController();
  setTimeout(() => waiting.abort(new Error("enough")), 20);
  await assert.rejects(Sandbox.list({ client, signal: waiting.signal }), /enough/);
  await assert.rejects(Sandbox.list({ client, signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("each status has its class, and what the server said is in it", async (t) => {
  const classes: [number, typeof PodflareError][] = [
    [400, InvalidRequestError],
    [401, AuthenticationError],
    [403, AuthenticationError],
    [404, NotFoundError],
    [409, ConflictError],
    [413, InvalidRequestError],
    [422, InvalidRequestError],
    [429, QuotaError],
    [500, ServerError],
    [503, CapacityError],
  ];
  let status = 0;
  const server = await serve(t, (_, response) => refuse(response, status, `code_${status}`));
  const client = clientOf(t, server);
  for (const [each, kind] of classes) {
    status = each;
    await assert.rejects(Sandbox.list({ client }), (error: PodflareError) => {
      assert.equal(error.constructor, kind);
      assert.equal(error.name, kind.name);
      assert.equal(error.status, status);
      assert.equal(error.code, `code_${status}`);
      assert.equal(error.sentence, `it is code_${status}`);
      assert(error.message.startsWith(`it is code_${status} (do else`));
      assert.equal(error.requestId, "req_1");
      assert.match(error.hint ?? "", /^do else/);
      assert.match(String(error), /it is code_\d+ \(do else.*\) \[HTTP \d+, request req_1\]/);
      return true;
    });
  }
});

test("a refusal of the key says where the key came from", async (t) => {
  const server = await serve(t, (_, response) => refuse(response, 401, "invalid_api_key"));
  await assert.rejects(Sandbox.list({ client: clientOf(t, server) }), {
    hint: "do else; the key that was sent comes from the apiKey argument",
  });
});

test("what a proxy answers is in the error too, and Retry-After as seconds", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(429, { "Retry-After": "7" }).end("<html>slow\n down</html>");
    return true;
  });
  await assert.rejects(Sandbox.list({ client: clientOf(t, server) }), {
    name: "QuotaError",
    message: "<html>slow down</html>",
    retryAfter: 7,
    code: undefined,
  });
});

test("an answer that is cut off is no answer", async (t) => {
  const server = await serve(t, (_, response) => {
    response.writeHead(200, { "Content-Length": "1000" });
    response.write('{"sandboxes":', () => response.socket?.destroy());
    return true;
  });
  await assert.rejects(Sandbox.list({ client: clientOf(t, server) }), { code: "cut_off" });
});

test("what is not JSON is no answer of a Podflare server", async (t) => {
  const server = await serve(t, (_, response) => response.end("hello"));
  await assert.rejects(Sandbox.list({ client: clientOf(t, server) }), { code: "bad_answer" });
});

test("the trace context goes with each call, the sandbox's own before the client's", async (t) => {
  const trace = (digit: string): string => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`;
  const server = await serve(t, () => undefined);
  const client = clientOf(t, server, { traceparent: trace("a") });
  await Sandbox.create({ client });
  const traced = await Sandbox.create({ client, traceparent: trace("b") });
  await traced.close({ traceparent: trace("c") });
  assert.deepEqual(
    server.asked.map((one) => one.headers["traceparent"]),
    [trace("a"), trace("b"), trace("c")],
  );
});

test("a program ends by itself though connections are kept", async (t) => {
  const server = await serve(t, (_, response) => json(response, { sandboxes: [], next_cursor: null }));
  const program = `import { Sandbox } from "podflare"; await Sandbox.list({ host: "${server.host}", apiKey: "k" });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" });
  assert.equal(await new Promise((ended) => child.once("exit", ended)), 0);
});
