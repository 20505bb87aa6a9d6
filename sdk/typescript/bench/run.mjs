#!/usr/bin/env node
/**
 * What a call of this SDK adds to a plain HTTP call, on loopback.
 *
 *     node bench/run.mjs [--calls N] [--json]
 *
 * Both talk to a server in a process of its own that answers at once, so that what is measured is
 * the client and not a sandbox. The two take turns, call by call, so that a busy machine is as bad
 * for the one as for the other.
 */

import { fork } from "node:child_process";
import { Agent, createServer, request } from "node:http";
import process from "node:process";
import { parseArgs } from "node:util";

import { Client, Sandbox } from "podflare";

const ID = "sbx_" + "0".repeat(32);
const EVENTS =
  '{"type":"stdout","data":"1\\n","seq":0,"ts":1}\n' +
  '{"type":"exit","data":0,"seq":1,"ts":2,"reason":"ok","state_kept":true,"duration_ms":1}\n';

if (process.env.PODFLARE_BENCH_SERVER) {
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
} else {
  const { values } = parseArgs({
    options: { calls: { type: "string", default: "3000" }, json: { type: "boolean" } },
  });
  const server = fork(process.argv[1], { env: { ...process.env, PODFLARE_BENCH_SERVER: "1" } });
  const port = await new Promise((told) => server.once("message", told));
  const client = new Client({ host: `http://127.0.0.1:${port}`, apiKey: "bench" });
  const sandbox = await Sandbox.create({ client });
  const agent = new Agent({ keepAlive: true });
  const body = JSON.stringify({ code: "1", language: "python" });

  const plain = (method, path, sent) =>
    new Promise((done, failed) => {
      const headers = { Authorization: "Bearer bench" };
      if (sent) Object.assign(headers, { "Content-Type": "application/json", "Content-Length": sent.length });
      const asked = request({ agent, host: "127.0.0.1", port, method, path, headers }, (response) => {
        const pieces = [];
        response.on("data", (piece) => pieces.push(piece));
        response.on("end", () => done(Buffer.concat(pieces)));
      });
      asked.on("error", failed);
      asked.end(sent);
    });

  const rows = [];
  const compare = async (name, viaHttp, viaSdk) => {
    const [http, sdk] = [[], []];
    const calls = Number(values.calls);
    for (let i = -calls / 5; i < calls; i++) {
      for (const [times, call] of i % 2 ? [[http, viaHttp], [sdk, viaSdk]] : [[sdk, viaSdk], [http, viaHttp]]) {
        const began = performance.now();
        await call();
        if (i >= 0) times.push(performance.now() - began);
      }
    }
    const at = (times, share) => times.sort((a, b) => a - b)[Math.floor(times.length * share)];
    rows.push({
      name,
      unit: "ms",
      http_p50: at(http, 0.5),
      sdk_p50: at(sdk, 0.5),
      sdk_p99: at(sdk, 0.99),
      added_p50: at(sdk, 0.5) - at(http, 0.5),
      target: 0.3,
    });
  };
  await compare("info", () => plain("GET", `/v1/sandboxes/${ID}`), () => sandbox.info());
  await compare(
    "runCode",
    () => plain("POST", `/v1/sandboxes/${ID}/exec`, body),
    () => sandbox.runCode("1"),
  );
  if (values.json) console.log(JSON.stringify(rows));
  else {
    for (const row of rows) {
      const ms = (value) => value.toFixed(3);
      console.log(
        `${row.name}: plain HTTP ${ms(row.http_p50)} ms, SDK ${ms(row.sdk_p50)} ms (p99 ${ms(row.sdk_p99)}), ` +
          `adds ${ms(row.added_p50)} ms, at most ${row.target} allowed`,
      );
    }
  }
  process.exitCode = rows.every((row) => row.added_p50 <= row.target) ? 0 : 1;
  client.close();
  agent.destroy();
  server.kill();
}
