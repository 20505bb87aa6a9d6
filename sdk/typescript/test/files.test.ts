import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";

import { SANDBOX_ID, all, cleanEnvironment, json, refuse, sandboxOn } from "./support.js";

const FILES = `/v1/sandboxes/${SANDBOX_ID}/files`;

test("path and data come in either order, and two strings are path, then text", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (asked, response) =>
    json(response, { size: asked.body.length }),
  );
  assert.equal(await sandbox.upload("a b/ü.txt", "text"), 4);
  assert.equal(await sandbox.upload(new TextEncoder().encode("bytes"), "p"), 5);
  assert.deepEqual(server.targets(), [
    `PUT ${FILES}?path=a%20b/%C3%BC.txt`,
    `PUT ${FILES}?path=p`,
  ]);
  assert.deepEqual(server.asked.map((one) => one.body), ["text", "bytes"]);
  await assert.rejects(sandbox.upload(new Uint8Array(), new Uint8Array() as never), TypeError);
});

test("a local path given as data is refused with what to call", async (t) => {
  const home = cleanEnvironment(t);
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { size: 1 }));
  const here = join(home, "data.csv");
  writeFileSync(here, "a,b\n");
  for (const [path, data] of [
    ["data.csv", here],
    ["/root/data.csv", here],
    ["data.csv", "~/data.csv"],
    [here, here],
    [here, "/root/data.csv"],
    [here, "~/copy.csv"],
    [here, "./data.csv"],
  ] as const) {
    await assert.rejects(sandbox.upload(path, data), /uploadFrom/, `${path} ${data}`);
  }
  for (const [path, text] of [
    ["/etc/hostname", "box.local"],
    ["Procfile", "web.py"],
    ["/root/target.txt", "/usr/local/bin"],
    ["next", "/home/me/none.csv"],
    ["next", "~/none.csv"],
    ["next", home],
    ["none.csv", "none.csv"],
    ["some text", "notes.txt"],
    [here, "box.local"],
  ] as const) {
    await sandbox.upload(path, text);
    assert.equal(server.asked.at(-1)?.body, text);
  }
  server.asked.length = 0;
  const texts = ["a", "a b.txt", "grüße", "a,b\n/x.csv", "1.5", "", "/".repeat(5000), "\0"];
  for (const text of texts) await sandbox.upload("f", text);
  assert.deepEqual(server.asked.map((one) => one.body), texts);
});

test("local files and folders are uploaded with their modes", async (t) => {
  const folder = join(cleanEnvironment(t), "project");
  mkdirSync(join(folder, "src"), { recursive: true });
  writeFileSync(join(folder, "run.sh"), "run.sh", { mode: 0o755 });
  writeFileSync(join(folder, "src", "a.py"), "src/a.py", { mode: 0o644 });
  symlinkSync("nowhere", join(folder, "broken"));
  const { sandbox, server } = await sandboxOn(t, (asked, response) =>
    json(response, { size: asked.body.length }),
  );
  assert.equal(await sandbox.uploadFrom(join(folder, "run.sh")), 6);
  assert.equal(await sandbox.uploadFrom(join(folder, "run.sh"), "/tmp/", { mode: 0o600 }), 6);
  assert.equal(await sandbox.uploadFrom(folder, "/root/p"), 14);
  assert.deepEqual(server.targets(), [
    `PUT ${FILES}?path=run.sh&mode=0755`,
    `PUT ${FILES}?path=/tmp/run.sh&mode=0600`,
    `PUT ${FILES}?path=/root/p/run.sh&mode=0755`,
    `PUT ${FILES}?path=/root/p/src/a.py&mode=0644`,
  ]);
  await assert.rejects(sandbox.uploadFrom(join(folder, "nothing")), { code: "ENOENT" });
});

test("everything that has bytes can be uploaded", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { size: 3 }));
  const bytes = new TextEncoder().encode("abc");
  const things = [
    bytes,
    bytes.buffer,
    new DataView(bytes.buffer),
    Buffer.from("abc"),
    new Blob(["abc"]),
    Readable.from([Buffer.from("a"), Buffer.from("bc")]),
    new Blob(["abc"]).stream(),
    ["a", "bc"],
    (async function* () {
      yield "ab";
      yield new Uint8Array([99]);
    })(),
  ];
  for (const thing of things) await sandbox.files.write("f", thing as never);
  assert.deepEqual(server.asked.map((one) => one.body), things.map(() => "abc"));
});

test("what has no bytes is refused before anything is sent", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { size: 3 }));
  for (const thing of [null, 5, {}, undefined]) {
    await assert.rejects(sandbox.files.write("f", thing as never), TypeError);
  }
  assert.equal(server.asked.length, 0);
});

test("an iterable that fails ends the upload, and its error is thrown as it is", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { size: 3 }));
  const failing = (async function* () {
    yield "a";
    throw new Error("mine");
  })();
  await assert.rejects(sandbox.upload("f", failing), /mine/);
  await assert.rejects(sandbox.upload("f", [1, 2] as never), TypeError);
  assert.equal(server.asked.length, 0);
});

test("an upload that is refused early stops, and the refusal is told", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) => refuse(response, 413, "disk_full"));
  let sent = 0;
  const endless = (async function* () {
    while (sent < 10_000) {
      sent++;
      yield new Uint8Array(100_000);
      await new Promise((soon) => setImmediate(soon));
    }
  })();
  await assert.rejects(sandbox.upload("early", endless), { code: "disk_full" });
  assert(sent < 10_000);
});

test("the mode is sent in octal", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { size: 0 }));
  await sandbox.files.write("f", "", { mode: 0o755 });
  await sandbox.files.write("f", "", { mode: "0600" });
  assert.deepEqual(server.targets(), [`PUT ${FILES}?path=f&mode=0755`, `PUT ${FILES}?path=f&mode=0600`]);
});

test("a download is the file's bytes, at once, in pieces, or in a local file", async (t) => {
  const home = cleanEnvironment(t);
  const { sandbox } = await sandboxOn(t, (_, response) => {
    response.write("hello ");
    setImmediate(() => response.end("world"));
    return true;
  });
  const bytes = await sandbox.download("f");
  assert.equal(bytes.constructor, Uint8Array);
  assert.equal(new TextDecoder().decode(bytes), "hello world");
  assert.equal(await sandbox.files.readText("f"), "hello world");
  assert.equal(Buffer.concat(await all(sandbox.files.stream("f"))).toString(), "hello world");
  assert.equal(await sandbox.downloadTo("f", join(home, "local")), 11);
  assert.equal(readFileSync(join(home, "local"), "utf8"), "hello world");
  assert.equal(await sandbox.downloadTo("f", "/dev/null"), 11);
});

test("a download that is cut off leaves the local file as it was", async (t) => {
  const home = cleanEnvironment(t);
  const { sandbox } = await sandboxOn(t, (_, response) => {
    response.writeHead(200, { "Content-Length": 100 });
    response.write("hello", () => response.socket?.destroy());
    return true;
  });
  writeFileSync(join(home, "local"), "before");
  await assert.rejects(sandbox.downloadTo("f", join(home, "local")), { code: "cut_off" });
  assert.equal(readFileSync(join(home, "local"), "utf8"), "before");
  assert.deepEqual(readdirSync(home), ["local"]);
});

test("a directory is listed, and says whether there was more", async (t) => {
  const entry = { name: "a", type: "file", size: 1, mode: "0644", mtime: 5 };
  const { sandbox, server } = await sandboxOn(t, (_, response) =>
    json(response, { entries: [entry], truncated: true }),
  );
  const list = await sandbox.files.list();
  assert.deepEqual([...list], [entry]);
  assert.equal(list.truncated, true);
  assert.deepEqual(server.targets(), [`GET ${FILES}/list?path=.`]);
});

test("removing sends recursive only if asked", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => response.writeHead(204).end());
  await sandbox.files.remove("a");
  await sandbox.files.remove("b", { recursive: true });
  assert.deepEqual(server.targets(), [
    `DELETE ${FILES}?path=a`,
    `DELETE ${FILES}?path=b&recursive=true`,
  ]);
});
