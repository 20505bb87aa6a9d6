import assert from "node:assert/strict";
import { test } from "node:test";

import { MergeConflictError, NotFoundError, Sandbox, Space, Template, TemplateBuildError } from "podflare";

import {
  SANDBOX_ID,
  cleanEnvironment,
  clientOf,
  events,
  exitLine,
  json,
  line,
  refuse,
  sandboxOn,
  serve,
} from "./support.js";

const HERE = `/v1/sandboxes/${SANDBOX_ID}`;
const CHILD = "sbx_" + "f".repeat(32);
const SPACE = "spc_" + "1".repeat(32);

test("all that is asked for is sent, and nothing else", async (t) => {
  const server = await serve(t, () => undefined);
  const client = clientOf(t, server);
  await Sandbox.create({ client });
  await Sandbox.create({
    client,
    template: "python-datasci",
    egress: { allow: ["*.example.org"] },
    persistent: true,
    idleTimeoutSeconds: 5,
    maxLifetimeSeconds: 6,
    cpus: 1,
    memoryMb: 512,
    diskMb: 1024,
    env: { A: "b" },
    metadata: { task: "t" },
    region: "anywhere",
  });
  assert.deepEqual(server.asked[0]?.json(), { template: "default", egress: true });
  assert.deepEqual(server.asked[1]?.json(), {
    template: "python-datasci",
    egress: { allow: ["*.example.org"] },
    persistent: true,
    idle_timeout_seconds: 5,
    max_lifetime_seconds: 6,
    cpus: 1,
    memory_mb: 512,
    disk_mb: 1024,
    env: { A: "b" },
    metadata: { task: "t" },
  });
});

test("new and open() are the same as create(), and opening again makes no second one", async (t) => {
  const server = await serve(t, () => undefined);
  const sandbox = new Sandbox({ client: clientOf(t, server) });
  const [one, other] = await Promise.all([sandbox.open(), sandbox.open()]);
  assert.equal(one, sandbox);
  assert.equal(other, sandbox);
  assert.equal(sandbox.id, SANDBOX_ID);
  assert.equal(server.asked.length, 1);
});

test("a sandbox that could not be opened may be opened again", async (t) => {
  let full = true;
  const server = await serve(t, (_, response) => (full ? refuse(response, 503, "no_room") : undefined));
  const sandbox = new Sandbox({ client: clientOf(t, server) });
  await assert.rejects(sandbox.open(), { name: "CapacityError" });
  await sandbox.close();
  full = false;
  await sandbox.open();
  assert.equal(sandbox.id, SANDBOX_ID);
});

test("await using closes the sandbox, also after an exception", async (t) => {
  const server = await serve(t, () => undefined);
  const client = clientOf(t, server);
  await assert.rejects(async () => {
    await using sandbox = await Sandbox.create({ client });
    throw new Error(sandbox.id);
  }, new RegExp(SANDBOX_ID));
  assert.deepEqual(server.targets(), ["POST /v1/sandboxes", `DELETE ${HERE}`]);
});

test("closing twice asks the server once", async (t) => {
  const { sandbox, server } = await sandboxOn(t, () => undefined);
  await sandbox.close();
  await sandbox.close();
  assert.deepEqual(server.targets(), [`DELETE ${HERE}`]);
});

test("what the server knows has names in camelCase, and one's own names stay", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) =>
    json(response, { id: SANDBOX_ID, cpu_time_ms: 3, memory_mb: 1, new_field: 1, metadata: { my_key: "v" } }),
  );
  assert.deepEqual(await sandbox.info(), {
    id: SANDBOX_ID,
    cpuTimeMs: 3,
    memoryMb: 1,
    newField: 1,
    metadata: { my_key: "v" },
  });
});

test("connect finds a sandbox, or says that there is none", async (t) => {
  const server = await serve(t, (asked, response) =>
    asked.url === HERE ? json(response, { id: SANDBOX_ID }) : refuse(response, 404, "sandbox_not_found"),
  );
  const client = clientOf(t, server);
  assert.equal((await Sandbox.connect(SANDBOX_ID, { client })).id, SANDBOX_ID);
  await assert.rejects(Sandbox.connect("sbx_../..", { client }), NotFoundError);
  assert.equal(server.asked.at(-1)?.url, "/v1/sandboxes/sbx_%2E%2E%2F%2E%2E");
});

test("a list is read to its last page, with its filters", async (t) => {
  const server = await serve(t, (asked, response) =>
    asked.url.includes("cursor=two")
      ? json(response, { sandboxes: [{ id: "sbx_2" }], next_cursor: null })
      : json(response, { sandboxes: [{ id: "sbx_1" }], next_cursor: "two" }),
  );
  const found = await Sandbox.list({
    client: clientOf(t, server),
    state: "ready",
    template: "default",
    metadata: { "a&b": "ü" },
  });
  assert.deepEqual(found.map((one) => one.id), ["sbx_1", "sbx_2"]);
  assert.equal(
    server.asked[0]?.url,
    "/v1/sandboxes?limit=100&template=default&state=ready&metadata.a%26b=%C3%BC",
  );
});

test("a list that never ends is no answer", async (t) => {
  const server = await serve(t, (_, response) => json(response, { sandboxes: [], next_cursor: "same" }));
  await assert.rejects(Sandbox.list({ client: clientOf(t, server) }), { code: "bad_answer" });
});

test("fork answers the children, however the number is given", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { children: [CHILD] }));
  assert.deepEqual((await sandbox.fork()).map((child) => child.id), [CHILD]);
  await sandbox.fork(3);
  await sandbox.fork({ n: 4 });
  assert.deepEqual(server.asked.map((one) => one.json().n), [1, 3, 4]);
});

test("diff asks for its paths, and for variables unless told not to", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (_, response) => json(response, { added: [] }));
  await sandbox.diff(CHILD);
  await sandbox.diff(CHILD, { paths: "/srv", text: true, variables: false });
  assert.deepEqual(server.targets(), [
    `GET ${HERE}/diff/${CHILD}?path=/root&path=/tmp&text=false&variables=true`,
    `GET ${HERE}/diff/${CHILD}?path=/srv&text=true&variables=false`,
  ]);
});

test("after a swap the winner's close does nothing", async (t) => {
  const { sandbox, server } = await sandboxOn(t, (asked, response) =>
    asked.url.endsWith("/fork") ? json(response, { children: [CHILD] }) : response.writeHead(204).end(),
  );
  const [winner] = await sandbox.fork();
  assert(winner);
  assert.equal(await sandbox.mergeInto(winner), null);
  await winner.close();
  assert.deepEqual(server.targets().slice(1), [`POST ${HERE}/merge_into/${CHILD}`]);
  assert.equal(server.asked[1]?.body, "");
});

test("a merge of files answers what it did, and its conflicts are thrown", async (t) => {
  let conflicts: object[] | undefined;
  const { sandbox, server } = await sandboxOn(t, (_, response) =>
    conflicts === undefined
      ? json(response, { mode: "files", applied: true, added: ["/root/a"] })
      : json(response, { error: "both", code: "merge_conflict", hint: "h", conflicts }, 409),
  );
  const report = await sandbox.mergeInto(CHILD, { mode: "files", paths: "/root", onConflict: "winner" });
  assert.deepEqual(report?.added, ["/root/a"]);
  assert.deepEqual(server.asked[0]?.json(), {
    mode: "files",
    dry_run: false,
    paths: ["/root"],
    on_conflict: "winner",
  });
  conflicts = [{ path: "/root/a", parent: "added", winner: "modified" }];
  await assert.rejects(sandbox.mergeInto(CHILD, { mode: "files" }), (error: MergeConflictError) => {
    assert(error instanceof MergeConflictError);
    assert.equal(error.conflicts[0]?.path, "/root/a");
    return true;
  });
});

test("freeze ends the sandbox, and the Space wakes it, is listed and deleted", async (t) => {
  const { sandbox, server, client } = await sandboxOn(t, (asked, response) => {
    if (asked.method === "DELETE") return response.writeHead(204).end();
    if (asked.url.endsWith("/freeze")) return json(response, { space: SPACE });
    if (asked.url.endsWith("/resume")) return json(response, { id: CHILD });
    return json(response, asked.url.endsWith("/spaces") ? { spaces: [{ id: SPACE }] } : { held_by: null });
  });
  const space = await sandbox.freeze();
  await sandbox.close();
  assert.equal((await space.resume()).id, CHILD);
  assert.deepEqual((await Space.list({ client })).map((one) => one.id), [SPACE]);
  assert.equal((await (await Space.get(SPACE, { client })).info()).heldBy, null);
  await space.delete();
  assert.deepEqual(server.targets(), [
    `POST ${HERE}/freeze`,
    `POST /v1/spaces/${SPACE}/resume`,
    "GET /v1/spaces",
    `GET /v1/spaces/${SPACE}`,
    `GET /v1/spaces/${SPACE}`,
    `DELETE /v1/spaces/${SPACE}`,
  ]);
});

test("the family has the dead too", async (t) => {
  const { sandbox } = await sandboxOn(t, (_, response) =>
    json(response, { family: SANDBOX_ID, sandboxes: [{ id: SANDBOX_ID, closed_at: null, end: null }] }),
  );
  assert.equal((await sandbox.family())[0]?.closedAt, null);
});

test("an argument that is no JSON or no text is refused before anything is sent", async (t) => {
  const { sandbox, server } = await sandboxOn(t, () => undefined);
  await assert.rejects(sandbox.runCode("1", { timeoutSeconds: NaN }), { code: "invalid_argument" });
  await assert.rejects(sandbox.files.list("\ud800"), { code: "invalid_argument" });
  await assert.rejects(sandbox.files.list(""), { code: "invalid_path" });
  assert.equal(server.asked.length, 0);
});

test("sandboxes of the same configuration share their connections", async (t) => {
  cleanEnvironment(t);
  const server = await serve(t, () => undefined);
  await Sandbox.create({ host: server.host, apiKey: "k" });
  await Sandbox.create({ host: server.host, apiKey: "k" });
  assert.equal(server.sockets.length, 1);
});

test("a template is built, and what the build says is told as it comes", async (t) => {
  const server = await serve(t, (_, response) =>
    events(response, [line("stdout", "Reading package lists\n", 0), exitLine(0, 1)]),
  );
  const client = clientOf(t, server);
  let said = "";
  const built = await Template.build("mine", {
    client,
    from: "default",
    packages: ["jq"],
    warm: "import json",
    timeoutSeconds: 60,
    onStdout: (text) => (said += text),
  });
  assert.equal(built.name, "mine");
  assert.equal(said, "Reading package lists\n");
  assert.deepEqual(server.asked[0]?.json(), {
    name: "mine",
    from: "default",
    packages: ["jq"],
    warm: "import json",
    timeout_seconds: 60,
  });
});

test("a template's build that fails is thrown with all that it said", async (t) => {
  const server = await serve(t, (_, response) =>
    events(response, [line("stderr", "E: no such package\n", 0), exitLine(100, 1)]),
  );
  await assert.rejects(Template.build("mine", { client: clientOf(t, server) }), (error: TemplateBuildError) => {
    assert(error instanceof TemplateBuildError);
    assert.match(error.message, /mine was not built: exit code 100, E: no such package/);
    assert.equal(error.result.stderr, "E: no such package\n");
    return true;
  });
});

test("templates are listed and deleted", async (t) => {
  const packages = { python: "3.13.5", python_packages: { "scikit_learn-x": "1.6.1" } };
  const server = await serve(t, (asked, response) =>
    asked.method === "DELETE"
      ? response.writeHead(204).end()
      : json(response, { templates: [{ name: "mine", created_at: 5, stale: true, ...packages }] }),
  );
  const client = clientOf(t, server);
  const [mine, ...others] = await Template.list({ client });
  assert.deepEqual(others, []);
  assert.deepEqual([mine?.name, mine?.createdAt, mine?.stale], ["mine", 5, true]);
  assert.deepEqual([mine?.python, mine?.pythonPackages], ["3.13.5", packages.python_packages]);
  assert.equal((await Template.named("mine", { client }).info()).stale, true);
  await assert.rejects(Template.named("other", { client }).info(), NotFoundError);
  await Template.named("mine", { client }).delete();
  assert.equal(server.targets().at(-1), "DELETE /v1/templates/mine");
});
