/** The operations of the conformance suite by the TypeScript SDK. */

import { NotFoundError, Sandbox, Space, Template } from "podflare";

const PTY_DEADLINE_MS = 60_000;

/**
 * Does one operation. Answers what was made, to be bound and closed at the end, or undefined; and
 * the fields that were answered.
 */
export async function carryOut(name, on, given) {
  if (!Object.hasOwn(OPERATIONS, name)) throw new Error(`there is no operation ${name}`);
  const [made, answer] = await OPERATIONS[name](on, given);
  return [made, plain(answer)];
}

/** Closes a sandbox, deletes a Space. */
export async function end(made) {
  for (const one of Array.isArray(made) ? made : [made]) {
    try {
      if (one instanceof Sandbox) await one.close();
      else if (one instanceof Space) await one.delete();
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error; // Its id is gone, by a merge or another client.
    }
  }
}

const OPERATIONS = {
  create: async (_, given) => bound(await Sandbox.create(camel(given))),
  connect: async (_, { id, ...client }) => bound(await Sandbox.connect(id, camel(client))),
  list_sandboxes: async (_, given) => [
    undefined,
    { ids: (await Sandbox.list(camel(given))).map((one) => one.id) },
  ],
  close: async (on) => [undefined, (await on.close()) ?? {}],
  info: async (on) => [undefined, snake(await on.info())],
  run: async (on, given) => {
    const { code, ...how } = given;
    return [undefined, ran(await on.runCode(code, options(how)))];
  },
  run_stream: async (on, given) => {
    const { code, ...how } = given;
    return [undefined, streamed(await all(on.runCodeStream(code, options(how))))];
  },
  detach: async (on, given) => {
    const { code, ...how } = given;
    return bound(await on.execs.start(code, options(how)));
  },
  attach: async (on, { exec, from }) => {
    const job = exec === undefined ? on : on.execs.get(exec);
    const events = await all(job.stream({ from }));
    return [undefined, { ...gathered(events), ...streamed(events) }];
  },
  execs: async (on) => {
    const execs = await on.execs.list();
    return [undefined, { ids: execs.map((one) => one.id), execs: execs.map(snake) }];
  },
  interrupt: async (on) => [undefined, (await on.interrupt()) ?? {}],
  fork: async (on, { n, ...how }) => {
    const made = await on.fork(n, camel(how));
    const ids = made.map((one) => one.id);
    const fields = Object.fromEntries(ids.map((id, place) => [place, { id }]));
    return [made, { count: ids.length, ids, ...fields }];
  },
  diff: async (on, { other, ...how }) => [undefined, snake(await on.diff(other, how))],
  merge: async (on, { winner, ...how }) => [
    undefined,
    snake((await on.mergeInto(winner, camel(how))) ?? {}),
  ],
  family: async (on) => [undefined, { ids: (await on.family()).map((one) => one.id) }],
  upload: async (on, { path, mode, ...content }) => [
    undefined,
    { size: await on.upload(path, bytesOf(content), { mode }) },
  ],
  files_write: async (on, { path, mode, ...content }) => [
    undefined,
    { size: await on.files.write(path, bytesOf(content), { mode }) },
  ],
  download: async (on, { path }) => [undefined, contentOf(await on.download(path))],
  files_read: async (on, { path }) => [undefined, contentOf(await on.files.read(path))],
  files_list: async (on, { path }) => {
    const entries = await on.files.list(path);
    const names = entries.map((one) => one.name);
    return [undefined, { names, entries: [...entries], truncated: entries.truncated }];
  },
  files_remove: async (on, { path, recursive }) => [
    undefined,
    (await on.files.remove(path, { recursive })) ?? {},
  ],
  freeze: async (on) => bound(await on.freeze()),
  spaces: async (_, client) => [
    undefined,
    { ids: (await Space.list(camel(client))).map((one) => one.id) },
  ],
  connect_space: async (_, { id, ...client }) => bound(await Space.get(id, camel(client))),
  resume: async (on, given) => bound(await on.resume(camel(given))),
  delete_space: async (on) => [undefined, (await on.delete()) ?? {}],
  pty_run: async (on, { cmd, send = [], until, resize, ...size }) => {
    const output = new Awaited(until);
    const pty = await on.pty.create({
      cmd,
      ...size,
      timeoutMs: PTY_DEADLINE_MS,
      onData: (bytes) => output.add(bytes),
    });
    try {
      for (const [place, text] of send.entries()) {
        await output.match();
        if (place === 0 && resize !== undefined) pty.resize(resize);
        pty.sendInput(text);
      }
      const { exitCode } = await pty.wait();
      return [undefined, { output: output.text, exit_code: exitCode }];
    } finally {
      await pty.detach();
    }
  },
  templates: async () => {
    const found = await Template.list();
    return [undefined, { names: found.map((one) => one.name), templates: found.map(snake) }];
  },
  build_template: async (_, { name, ...how }) => [
    undefined,
    streamed(await all(Template.buildStream(name, camel(how)))),
  ],
  delete_template: async (_, { name }) => [undefined, (await Template.named(name).delete()) ?? {}],
};

/** The output of a terminal, and a way to wait for what it says. */
class Awaited {
  #pieces = [];
  #from = 0;
  #wake;

  constructor(until) {
    this.until = until === undefined || until === "" ? undefined : new RegExp(until, "gu");
  }

  get text() {
    return Buffer.concat(this.#pieces).toString("utf8");
  }

  add(bytes) {
    this.#pieces.push(bytes);
    this.#wake?.();
  }

  /** Waits until `until` has matched once more. */
  async match() {
    const deadline = performance.now() + PTY_DEADLINE_MS;
    while (this.until !== undefined) {
      this.until.lastIndex = this.#from;
      if (this.until.exec(this.text) !== null) {
        this.#from = Math.max(this.until.lastIndex, this.#from + 1);
        return;
      }
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${this.until} did not come; so far: ${JSON.stringify(this.text)}`);
      await new Promise((wake) => {
        const timer = setTimeout(wake, left);
        this.#wake = () => {
          clearTimeout(timer);
          wake();
        };
      });
    }
  }
}

function bound(made) {
  return [made, { id: made.id }];
}

async function all(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}

function options({ timeout, ...more }) {
  return { timeoutSeconds: timeout, ...more };
}

function ran(result) {
  return {
    stdout: result.stdout,
    stderr: result.stderr,
    exit_code: result.exitCode,
    result: result.result,
    results: result.results,
    error: result.error,
    reason: result.reason,
    state_kept: result.stateKept,
  };
}

function gathered(events) {
  const data = (type) => events.filter((event) => event.type === type).map((event) => event.data);
  const exit = events.at(-1);
  return ran({
    stdout: data("stdout").join(""),
    stderr: data("stderr").join(""),
    exitCode: exit?.code,
    result: data("result").at(-1) ?? null,
    results: data("result"),
    error: data("error").at(-1) ?? null,
    reason: exit?.reason,
    stateKept: exit?.stateKept,
  });
}

function streamed(events) {
  const seqs = events.map((event) => event.seq);
  return {
    types: events.map((event) => event.type).filter((type, i, types) => type !== types[i - 1]),
    text: events
      .filter((event) => event.type === "stdout")
      .map((event) => event.data)
      .join(""),
    exit: events.at(-1)?.code ?? null,
    in_order: seqs.length > 0 && seqs.every((seq, i) => seq === seqs[0] + i),
    first_seq: seqs[0] ?? null,
  };
}

function bytesOf({ text, base64 }) {
  return text ?? new Uint8Array(Buffer.from(base64, "base64"));
}

function contentOf(bytes) {
  const buffer = Buffer.from(bytes);
  return { text: buffer.toString("utf8"), base64: buffer.toString("base64") };
}

/** Names of REST as names of this SDK. */
function camel(given) {
  return renamed(given, (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()));
}

/** Names of this SDK as names of REST. */
function snake(answer) {
  return renamed(answer, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function renamed(fields, name) {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [name(key), value]));
}

/** As JSON would have it: no undefined, no classes. */
function plain(answer) {
  return answer === undefined ? {} : JSON.parse(JSON.stringify(answer));
}
