#!/usr/bin/env node
/**
 * What a call of this SDK adds to a plain call of `node:http`, on loopback.
 *
 *     node bench/overhead.mjs [CALLS]
 *
 * Prints the difference of each pair of calls in milliseconds, a line each. Both calls go to a server
 * in a process of its own that answers at once, so that what is measured is the client and not a
 * sandbox. The two take turns, so that a busy machine is as bad for the one as for the other.
 */

import { fork } from "node:child_process";
import { Agent, createServer, request } from "node:http";
import process from "node:process";

import { Client, Sandbox } from "podflare";

const ID = "sbx_" + "0".repeat(32);
const EVENTS =
  '{"type":"stdout","data":"1\\n","seq":0,"ts":1}\n' +
  '{"type":"exit","data":0,"seq":1,"ts":2,"reason":"ok","state_kept":true,"duration_ms":1}\n';
/** The compiler has looked at both ways by then. */
const WARM_UP = 1000;

function serve() {
  const server = createServer((asked, response) => {
    asked.resume();
    asked.on("end", () => {
      if (asked.url.endsWith("/exec")) {
        response.writeHead(200, { "Content-Type": "application/x-ndjson" });
        response.end(EVENTS);
      } else {
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify({ id: ID, state: "ready" }));
      }
    });
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
}

async function measure(port, calls) {
  const client = new Client({ host: `http://127.0.0.1:${port}`, apiKey: "bench" });
  const sandbox = await Sandbox.create({ client });
  const agent = new Agent({ keepAlive: true });
  const body = JSON.stringify({ code: "1", language: "python" });
  const headers = {
    Authorization: "Bearer bench",
    "Content-Type": "application/json",
    "Content-Length": body.length,
  };
  const path = `/v1/sandboxes/${ID}/exec`;
  const plain = () =>
    new Promise((done, failed) => {
      const asked = request({ agent, host: "127.0.0.1", port, method: "POST", path, headers }, (response) => {
        const pieces = [];
        response.on("data", (piece) => pieces.push(piece));
        response.on("end", () => done(Buffer.concat(pieces)));
      });
      asked.on("error", failed);
      asked.end(body);
    });
  for (let i = -WARM_UP; i < calls; i++) {
    const began = performance.now();
    await plain();
    const between = performance.now();
    await sandbox.runCode("1");
    const ended = performance.now();
    if (i >= 0) console.log(ended - between - (between - began));
  }
  client.close();
  agent.destroy();
}

if (process.env.PODFLARE_BENCH_SERVER) serve();
else {
  const server = fork(process.argv[1], { env: { ...process.env, PODFLARE_BENCH_SERVER: "1" } });
  try {
    const port = await new Promise((told) => server.once("message", told));
    await measure(port, Number(process.argv[2] ?? 3000));
  } finally {
    server.kill();
  }
}
