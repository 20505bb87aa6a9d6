import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, Sandbox, Space } from "podflare";

import { all } from "../support.js";
import { liveSandbox } from "./live.js";

test("variables stay from call to call, and the last expression is shown", async (t) => {
  const sandbox = await liveSandbox(t);
  await sandbox.runCode("x = 41");
  const result = await sandbox.runCode("print('ü 🎉'); x + 1");
  assert.equal(result.stdout, "ü 🎉\n");
  assert.deepEqual(result.result, { "text/plain": "42" });
  assert.equal((await sandbox.runCode("uname", "bash")).stdout, "Linux\n");
});

test("events come while the code runs", async (t) => {
  const sandbox = await liveSandbox(t);
  // The code goes on only once its line has been heard: held back to the end, it would end by its timeout.
  const code =
    "import os, time\nfor i in range(3):\n    print(i)\n    while not os.path.exists(f'/tmp/heard{i}'): time.sleep(0.02)";
  let said = "";
  let lines = 0;
  let reason: string | undefined;
  for await (const event of sandbox.runCodeStream(code, { timeoutSeconds: 60 })) {
    if (event.type === "exit") reason = event.reason;
    if (event.type !== "stdout") continue;
    said += event.data;
    while (said.includes(`${lines}\n`)) await sandbox.upload(`/tmp/heard${lines++}`, "");
  }
  assert.equal(said, "0\n1\n2\n");
  assert.equal(reason, "ok");
});

test("an interrupt stops the code, and its variables stay", async (t) => {
  const sandbox = await liveSandbox(t);
  await sandbox.runCode("kept = 1");
  const running = sandbox.runCode("print('on', flush=True)\nwhile True: pass", {
    onStdout: () => sandbox.interrupt(),
  });
  assert.equal((await running).reason, "interrupted");
  assert.deepEqual((await sandbox.runCode("kept")).result, { "text/plain": "1" });
});

test("megabytes go in and out as they were, streamed and at once", async (t) => {
  const sandbox = await liveSandbox(t);
  const bytes = new Uint8Array(3_000_000).map((_, i) => (i * 7) & 255);
  assert.equal(await sandbox.upload("a.bin", bytes), bytes.length);
  const pieces = (async function* () {
    for (let at = 0; at < bytes.length; at += 123_457) yield bytes.subarray(at, at + 123_457);
  })();
  assert.equal(await sandbox.upload("b.bin", pieces), bytes.length);
  assert.deepEqual(Buffer.from(await sandbox.download("a.bin")), Buffer.from(bytes));
  assert.deepEqual(Buffer.concat(await all(sandbox.files.stream("b.bin"))), Buffer.from(bytes));
});

test("an upload to a directory is refused while it is under way", async (t) => {
  const sandbox = await liveSandbox(t);
  const zeros = (async function* () {
    for (let i = 0; i < 200; i++) yield new Uint8Array(100_000);
  })();
  await assert.rejects(sandbox.upload("/root", zeros), { code: "is_a_directory" });
  assert.equal((await sandbox.runCode("print(1)")).stdout, "1\n");
});

test("a fork is tried, compared and merged", async (t) => {
  const sandbox = await liveSandbox(t);
  await sandbox.runCode("x = 1");
  const [child] = await sandbox.fork();
  assert(child);
  t.after(() => child.close());
  await child.runCode("x = 2; open('new', 'w').write('n')");
  const difference = await sandbox.diff(child);
  assert.deepEqual(difference.added, ["/root/new"]);
  assert.equal(difference.variables?.modified["x"]?.to.repr, "2");
  await sandbox.mergeInto(child);
  assert.deepEqual((await sandbox.runCode("x")).result, { "text/plain": "2" });
});

test("a frozen sandbox wakes from its Space", async () => {
  const sandbox = await Sandbox.create();
  await sandbox.runCode("x = 5");
  const space = await sandbox.freeze();
  try {
    await using again = await (await Space.get(space.id)).resume();
    assert.deepEqual((await again.runCode("x")).result, { "text/plain": "5" });
  } finally {
    await space.delete();
  }
});

test("a closed sandbox is not found", async () => {
  const sandbox = await Sandbox.create();
  await sandbox.close();
  await assert.rejects(Sandbox.connect(sandbox.id), NotFoundError);
});
