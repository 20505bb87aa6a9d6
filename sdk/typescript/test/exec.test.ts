import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";

import type { ServerResponse } from "node:http";

import { Client, ConnectionError, Sandbox, ServerError, Space, Template } from "podflare";
import type { Event } from "podflare";

import {
  EXEC_ID,
  KEY,
  SANDBOX_ID,
  all,
  breakAfter,
  clientOf,
  eventually,
  events,
  exitLine,
  json,
  line,
  refuse,
  sandboxOn,
} from "./support.js";
import type { Asked } from "./support.js";
import { INTERRUPT as LEAVING, RESUME, SILENCE } from "../dist/execs.js";

const EXECS = `/v1/sandboxes/${SANDBOX_ID}/execs`;
const HEAD = { "X-Exec-Id": EXEC_ID };

test("a result gathers what the code wrote, showed and threw", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) =>
    events(response, [
      line("stdout", "a", 0),
      line("stderr", "e", 1),
      line("novelty", { x: 1 }, 2),
      line("result", { "text/plain": "1" }, 3),
      line("stdout", "b\n", 4),
      line("result", { "text/plain": "2" }, 5),
      line("error", { name: "E", value: "v", traceback: "t" }, 6),
      exitLine(1, 7),
    ]),
  );
  const result = await sandbox.runCode("x", { timeoutSeconds: 3, env: { A: "b" }, cwd: "/tmp" });
  assert.deepEqual(result, {
    stdout: "ab\n",
    stderr: "e",
    exitCode: 1,
    result: { "text/plain": "2" },
    text: "2",
    results: [{ "text/plain": "1" }, { "text/plain": "2" }],
    error: { name: "E", value: "v", traceback: "t" },
    reason: "error",
    stateKept: true,
    durationMs: 1,
    gaps: [],
  });
  assert.deepEqual(server.asked[0]?.json(), {
    code: "x",
    language: "python",
    timeout_seconds: 3,
    env: { A: "b" },
    cwd: "/tmp",
  });
});

test("the language may be the second argument", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => events(response, [exitLine()]));
  await sandbox.runCode("ls", "bash");
  await all(sandbox.runCodeStream("ls", "bash"));
  assert.deepEqual(
    server.asked.map((one) => one.json().language),
    ["bash", "bash"],
  );
});

test("events are whole however the bytes are cut", async (t) => {
  const bytes = Buffer.from(line("stdout", "grüße 🎉", 0) + "\n" + exitLine(0, 1));
  const { sandbox } = await sandboxOn(t, (_, response) => {
    response.writeHead(200);
    let at = 0;
    const next = (): void => {
      if (at < bytes.length) response.write(bytes.subarray(at, ++at), () => setImmediate(next));
      else response.end();
    };
    next();
    return true;
  });
  assert.equal((await sandbox.runCode("x")).stdout, "grüße 🎉");
});

test("callbacks are told in order, and waited for", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) =>
    events(response, [
      line("stdout", "1", 0),
      line("stderr", "2", 1),
      line("result", { "text/plain": "3" }, 2),
      exitLine(0, 3),
    ]),
  );
  const told: string[] = [];
  await sandbox.runCode("x", {
    onStdout: async (text) => {
      await new Promise((later) => setImmediate(later));
      told.push(text);
    },
    onStderr: (text) => told.push(text),
    onResult: (shown) => told.push(String(shown["text/plain"])),
  });
  assert.deepEqual(told, ["1", "2", "3"]);
  await assert.rejects(
    sandbox.runCode("x", {
      onStdout: () => {
        throw new Error("mine");
      },
    }),
    /mine/,
  );
});

const INTERRUPT = `POST ${EXECS}/${EXEC_ID}/interrupt`;

/** An exec that has said something and says nothing more. */
function runs(asked: Asked, response: ServerResponse): unknown {
  if (asked.url.endsWith("/interrupt")) return response.writeHead(204).end();
  response.writeHead(200, HEAD);
  response.write(line("stdout", "1", 0));
  return true;
}

test("leaving the loop, or by a callback that throws, interrupts the code", async (t) => {
  const { sandbox, server } = await sandboxOn(t, runs);
  for await (const event of sandbox.runCodeStream("x")) {
    assert.equal(event.type, "stdout");
    break;
  }
  assert.deepEqual(server.targets().slice(1), [INTERRUPT]);
  const failing = sandbox.runCode("x", {
    onStdout: () => {
      throw new Error("mine");
    },
  });
  await assert.rejects(failing, /mine/);
  assert.deepEqual(server.targets().slice(3), [INTERRUPT]);
});

test("code that was to be left running is, and so is what is only attached to", async (t) => {
  const { sandbox, server } = await sandboxOn(t, runs);
  for await (const _ of sandbox.runCodeStream("x", { detach: true })) break;
  for await (const _ of sandbox.execs.get(EXEC_ID).stream()) break;
  assert.equal(server.targets().includes(INTERRUPT), false);
});

test("a stream that is closed while somebody waits for it says so to him", async (t) => {
  const { sandbox, server } = await sandboxOn(t, runs);
  const stream = sandbox.runCodeStream("x");
  await stream.next();
  const waiting = assert.rejects(stream.next(), { code: "closed" });
  await stream.close();
  await waiting;
  assert.deepEqual(server.targets().slice(1), [INTERRUPT]);
});

test("a call that waits says behind what", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) =>
    events(response, [line("waiting", { behind: EXEC_ID }, 0), line("stdout", "a", 1), exitLine(0, 2)]),
  );
  assert.equal((await sandbox.runCode("x")).stdout, "a");
  const [first] = await all(sandbox.runCodeStream("x"));
  assert.deepEqual(first?.data, { behind: EXEC_ID });
});

test("a heartbeat keeps a silent stream, and a dead peer is left for another connection", async (t) => {
  const before = SILENCE.seconds;
  SILENCE.seconds = 0.5;
  t.after(() => (SILENCE.seconds = before));
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/exec")) {
      response.writeHead(200, HEAD);
      let beats = 0;
      const beat = setInterval(() => {
        response.write(beats === 0 ? " \n" : "\n");
        if (++beats === 8) clearInterval(beat);
      }, 100);
      return true;
    }
    return events(response, [line("stdout", "done", 0), exitLine(0, 1)]);
  });
  const began = performance.now();
  assert.equal((await sandbox.runCode("x")).stdout, "done");
  assert(performance.now() - began > 1_200, "it was left although it beat");
  assert.deepEqual(server.targets().slice(1), [`GET ${EXECS}/${EXEC_ID}/stream?from=0`]);
});

/** So that a test need not wait for a server that is restarted. */
function hurry(t: TestContext): void {
  const before = RESUME.pausesMs;
  RESUME.pausesMs = [0, 0, 10];
  t.after(() => (RESUME.pausesMs = before));
}

test("code that runs is gone back to, however often that fails", async (t) => {
  hurry(t);
  let tries = 0;
  const { sandbox } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith(`/execs/${EXEC_ID}`)) return json(response, { id: EXEC_ID, state: "running" });
    if (asked.url.endsWith("/exec")) return breakAfter(response, [], HEAD);
    if (++tries > 12) return events(response, [line("stdout", "done", 0), exitLine(0, 1)]);
    if (tries % 2 === 0) return response.socket?.destroy();
    return json(response, { error: "full", code: "host_full" }, 503);
  });
  assert.equal((await sandbox.runCode("x")).stdout, "done");
});

test("code that has ended is not gone back to for ever", async (t) => {
  hurry(t);
  const { sandbox } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith(`/execs/${EXEC_ID}`)) return json(response, { id: EXEC_ID, state: "ended" });
    return breakAfter(response, [], HEAD);
  });
  await assert.rejects(sandbox.runCode("x"), { code: "outcome_unknown" });
});

test("a server that does not answer the interrupt keeps nobody for long", async (t) => {
  const before = LEAVING.longestMs;
  LEAVING.longestMs = 100;
  t.after(() => (LEAVING.longestMs = before));
  const { sandbox, server } = await sandboxOn(t, (asked, response) =>
    asked.url.endsWith("/interrupt") ? true : runs(asked, response),
  );
  const began = performance.now();
  for await (const _ of sandbox.runCodeStream("x")) break;
  assert(performance.now() - began < 30_000);
  assert.deepEqual(server.targets().slice(1), [INTERRUPT]);
});

test("a relay that cuts every silence does not end code that runs", async (t) => {
  hurry(t);
  let cuts = 0;
  const { sandbox } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith(`/execs/${EXEC_ID}`)) return json(response, { id: EXEC_ID, state: "running" });
    if (++cuts < 8) return breakAfter(response, [], HEAD);
    return events(response, [line("stdout", "done", 0), exitLine(0, 1)]);
  });
  assert.equal((await sandbox.runCode("x")).stdout, "done");
});

test("what is no id of an exec is refused before it looks as if it ran", async (t) => {
  const { sandbox, server } = await sandboxOn(t, () => undefined);
  assert.throws(() => sandbox.execs.get("ls -la"), /run a command runCode/);
  assert.equal(server.asked.length, 0);
});

test("an option that is not known is refused, with the one that is likely meant", async (t) => {
  const { sandbox, server } = await sandboxOn(t, () => undefined);
  const misspelt = { timeout: 1 } as object;
  assert.throws(() => sandbox.runCodeStream("x", misspelt), /no option timeout \(did you mean timeoutSeconds\?/);
  await assert.rejects(sandbox.runCode("x", { onStdOut: () => {} } as object), /did you mean onStdout/);
  await assert.rejects(Sandbox.create({ templte: "x" } as object), /did you mean template/);
  await assert.rejects(sandbox.fork({ count: 2 } as object), /its options are n/);
  const client = clientOf(t, server);
  assert.throws(() => new Client({ timeout: 1 } as object), /Client has no option timeout .*timeoutSeconds/);
  const refused: [() => Promise<unknown>, RegExp][] = [
    [() => Template.build("x", { client, timeout: 1 } as object), /Template.build has no option timeout/],
    [() => Template.list({ client, sginal: 1 } as object), /did you mean signal/],
    [() => Template.named("x", { client }).delete({ force: true } as object), /no option force/],
    [() => sandbox.pty.create({ row: 1 } as object), /pty.create has no option row \(did you mean rows/],
    [() => sandbox.pty.attach("x", { ondata: 1 } as object), /did you mean onData/],
    [() => sandbox.files.write("f", "x", { modes: 1 } as object), /files.write has no option modes/],
    [() => sandbox.upload("f", "x", { modes: 1 } as object), /did you mean mode/],
    [() => sandbox.files.remove("f", { recurse: true } as object), /no option recurse/],
    [() => sandbox.files.list(".", { recursive: true } as object), /files.list has no option/],
    [() => Space.list({ client, state: "x" } as object), /Space.list has no option state/],
    [() => Space.get("x", { client, state: "x" } as object), /Space.get has no option state/],
  ];
  for (const [call, why] of refused) await assert.rejects(async () => call(), why);
  await assert.rejects(sandbox.mergeInto("sbx_1", { dryrun: true } as object), /did you mean dryRun/);
  await assert.rejects(Sandbox.create({ egress: ["pypi.example"] } as object), /allow/);
  assert.equal(server.asked.length, 0);
});

test("an aborted signal interrupts this exec and throws the signal's reason", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/interrupt")) return response.writeHead(204).end();
    response.writeHead(200, HEAD);
    response.write(line("stdout", "1", 0));
    return true;
  });
  const control = new AbortController();
  await assert.rejects(
    sandbox.runCode("x", {
      signal: control.signal,
      onStdout: () => control.abort(new Error("enough")),
    }),
    /enough/,
  );
  await eventually(() => server.targets().includes(`POST ${EXECS}/${EXEC_ID}/interrupt`));
});

test("a signal that aborts before the exec has an id still stops the code", async (t) => {
  const control = new AbortController();
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/interrupt")) return response.writeHead(204).end();
    control.abort(new DOMException("too long", "TimeoutError"));
    setTimeout(() => {
      response.writeHead(200, HEAD);
      response.flushHeaders();
    }, 50);
    return true;
  });
  await assert.rejects(sandbox.runCode("x", { signal: control.signal }), { name: "TimeoutError" });
  await eventually(() => server.targets().includes(`POST ${EXECS}/${EXEC_ID}/interrupt`));
});

test("a stream whose connection breaks goes on where it was", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/exec")) {
      return breakAfter(response, [line("stdout", "a", 0), line("stdout", "b", 1)], HEAD);
    }
    if (asked.url.endsWith("from=2")) {
      return breakAfter(response, [line("stdout", "c", 2), '{"type":"stdo']);
    }
    return events(response, [line("stdout", "d", 3), exitLine(0, 4)]);
  });
  const result = await sandbox.runCode("x");
  assert.equal(result.stdout, "abcd");
  assert.equal(result.exitCode, 0);
  assert.deepEqual(server.targets().slice(1), [
    `GET ${EXECS}/${EXEC_ID}/stream?from=2`,
    `GET ${EXECS}/${EXEC_ID}/stream?from=3`,
  ]);
});

test("output that was lost meanwhile is said", async (t) => {
  const { sandbox } = await sandboxOn(t, (asked, response) =>
    asked.url.endsWith("/exec")
      ? breakAfter(response, [line("stdout", "a", 0)], HEAD)
      : events(response, [line("gap", { from: 1, to: 5 }, 1), line("stdout", "z", 5), exitLine(0, 6)]),
  );
  const result = await sandbox.runCode("x");
  assert.equal(result.stdout, "az");
  assert.deepEqual(result.gaps, [{ from: 1, to: 5 }]);
});

test("without an id of the exec the outcome is unknown", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) => breakAfter(response, [line("stdout", "a", 0)]));
  await assert.rejects(sandbox.runCode("x"), (error: ConnectionError) => {
    assert(error instanceof ConnectionError);
    assert.equal(error.code, "outcome_unknown");
    assert.match(error.hint ?? "", /check the sandbox's state/);
    return true;
  });
});

test("an exec that the server does not know any more has an unknown outcome", async (t) => {
  const { sandbox } = await sandboxOn(t, (asked, response) =>
    asked.url.endsWith("/exec")
      ? breakAfter(response, [], HEAD)
      : refuse(response, 404, "exec_not_found"),
  );
  await assert.rejects(sandbox.runCode("x"), { name: "ConnectionError", code: "outcome_unknown" });
});

test("a connection that breaks without an event in between is given up", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => breakAfter(response, [], HEAD));
  await assert.rejects(sandbox.runCode("x"), { code: "outcome_unknown" });
  assert.equal(server.asked.length, 7); // The last one asks whether the code still runs.
});

test("a stream that ends without an exit is not a success", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) => events(response, [line("stdout", "a", 0)]));
  await assert.rejects(sandbox.runCode("x"), { code: "outcome_unknown" });
});

test("nonsense in the stream is a ServerError", async (t) => {
  let nonsense = "";
  const { sandbox } = await sandboxOn(t, (_, response) => events(response, [nonsense]));
  for (nonsense of ["hello\n", "[1]\n", '{"type":"exit","data":"0"}\n', '{"type":"stdout","data":1}\n']) {
    await assert.rejects(sandbox.runCode("x"), ServerError, nonsense);
  }
});

test("code is started by the call, and its refusal is thrown where it is awaited", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => refuse(response, 404, "sandbox_not_found"));
  const stream = sandbox.runCodeStream("x");
  await eventually(() => server.asked.length === 1);
  await assert.rejects(stream.next(), { name: "NotFoundError" });
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("code can be started without a reader, and read later by several", async (t) => {
  const said = [line("stdout", "a", 0), line("stdout", "b", 1), exitLine(0, 2)];
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/exec")) return json(response, { exec: EXEC_ID }, 202);
    const from = Number(/from=(\d+)/.exec(asked.url)?.[1]);
    return events(response, said.slice(from));
  });
  const exec = await sandbox.execs.start("x");
  assert.equal(exec.id, EXEC_ID);
  assert.deepEqual(server.asked[0]?.json(), { code: "x", language: "python", detach: true });
  assert.equal((await exec.wait()).stdout, "ab");
  const later: Event[] = await all(sandbox.execs.get(EXEC_ID).stream({ from: 1 }));
  assert.deepEqual(later.map((event) => event.data), ["b", 0]);
});

test("a bash command can run in the background", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { exec: EXEC_ID }, 202));
  await sandbox.execs.start("sleep 9", { language: "bash", background: true });
  assert.deepEqual(server.asked[0]?.json(), {
    code: "sleep 9",
    language: "bash",
    detach: true,
    background: true,
  });
});

test("an exec is listed, looked at and interrupted by its id", async (t) => {
  const known = { id: EXEC_ID, state: "running", created_at: 1, first_seq: 0, exit_code: null };
  const { sandbox, server } = await sandboxOn(t, (asked, response) => {
    if (asked.url.endsWith("/interrupt")) return response.writeHead(204).end();
    return json(response, asked.url.endsWith("/execs") ? { execs: [known] } : known);
  });
  const [info] = await sandbox.execs.list();
  assert.equal(info?.createdAt, 1);
  assert.equal(info?.firstSeq, 0);
  const exec = sandbox.execs.get(EXEC_ID);
  assert.equal((await exec.info()).state, "running");
  await exec.interrupt();
  assert.deepEqual(server.targets(), [
    `GET ${EXECS}`,
    `GET ${EXECS}/${EXEC_ID}`,
    `POST ${EXECS}/${EXEC_ID}/interrupt`,
  ]);
});

test("a sandbox that was not opened says so", () => {
  const sandbox = new Sandbox({ client: new Client({ host: "http://127.0.0.1:1", apiKey: KEY }) });
  assert.throws(() => sandbox.runCodeStream("1"), { code: "not_open" });
});
