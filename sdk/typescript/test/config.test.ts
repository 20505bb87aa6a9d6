import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { AuthenticationError, Client, InvalidRequestError, PodflareError, Sandbox } from "podflare";

import { KEY, cleanEnvironment, json, serve } from "./support.js";

function writeConfig(home: string, content: unknown): string {
  const path = join(home, ".config", "podflare", "config.json");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

async function authorizationSent(t: TestContext, options: (host: string) => object): Promise<unknown> {
  const server = await serve(t, (_, response) => json(response, { sandboxes: [], next_cursor: null }));
  await Sandbox.list(options(server.host));
  return server.asked[0]?.headers.authorization;
}

test("the argument counts before the environment, and that before the file", async (t) => {
  const home = cleanEnvironment(t);
  writeConfig(home, { host: "http://127.0.0.1:3", api_key: "of-the-file" });
  assert.equal(new Client().host, "http://127.0.0.1:3");
  process.env["PODFLARE_HOST"] = "http://127.0.0.1:2";
  assert.equal(new Client().host, "http://127.0.0.1:2");
  process.env["PODFLARE_HOSTD_URL"] = "127.0.0.1:1/";
  assert.equal(new Client().host, "http://127.0.0.1:1");
  assert.equal(new Client({ host: "https://one.example/pod/" }).host, "https://one.example/pod");
});

test("the key of the environment is sent", async (t) => {
  cleanEnvironment(t);
  process.env["PODFLARE_API_KEY"] = KEY;
  assert.equal(await authorizationSent(t, (host) => ({ host })), `Bearer ${KEY}`);
});

test("the key of the file is sent to the server that wrote it", async (t) => {
  const home = cleanEnvironment(t);
  const sent = await authorizationSent(t, (host) => {
    writeConfig(home, { host, api_key: KEY });
    return { host: host.replace("127.0.0.1", "localhost") };
  });
  assert.equal(sent, `Bearer ${KEY}`);
});

test("the key of the file is sent to no other server", async (t) => {
  const home = cleanEnvironment(t);
  writeConfig(home, { host: "http://127.0.0.1:7070", api_key: KEY });
  assert.equal(await authorizationSent(t, (host) => ({ host })), undefined);
});

test("XDG_CONFIG_HOME is where the file is looked for", (t) => {
  const home = cleanEnvironment(t);
  writeConfig(home, { host: "http://127.0.0.1:3", api_key: KEY });
  process.env["XDG_CONFIG_HOME"] = join(home, ".config");
  process.env["HOME"] = "/nowhere";
  assert.equal(new Client().host, "http://127.0.0.1:3");
});

test("without any configuration the error says how to get a key", (t) => {
  cleanEnvironment(t);
  assert.throws(
    () => new Client(),
    (error: PodflareError) =>
      error instanceof AuthenticationError &&
      error.code === "no_api_key" &&
      /podflare up.*config\.json.*PODFLARE_API_KEY/.test(error.hint ?? ""),
  );
});

test("a file that can't be read is an error that names it", (t) => {
  const home = cleanEnvironment(t);
  const path = writeConfig(home, "{");
  assert.throws(
    () => new Client(),
    (error: PodflareError) => error.code === "unreadable_config" && error.message.includes(path),
  );
});

test("what is no address is refused", (t) => {
  cleanEnvironment(t);
  for (const host of ["ftp://a", "http://", "http://a b", "http://u:p@a", "http://a?b", "http://a:0"]) {
    assert.throws(() => new Client({ host, apiKey: KEY }), { code: "invalid_host" }, host);
  }
});

test("a key or trace context that can't be a header is refused", (t) => {
  cleanEnvironment(t);
  const host = "http://127.0.0.1:1";
  assert.throws(() => new Client({ host, apiKey: "a\r\nb" }), InvalidRequestError);
  assert.throws(() => new Client({ host, traceparent: "a b" }), { code: "invalid_traceparent" });
});
