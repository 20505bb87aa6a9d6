/** A sandbox: one microVM with a Python process that stays alive between calls. */

import { createReadStream } from "node:fs";

import { pathAndData } from "./bodies.js";
import type { Data } from "./bodies.js";
import { get, listSandboxes, makeOnce, part, post, query, sandbox as sandboxPath } from "./calls.js";
import type { Call } from "./calls.js";
import { badAnswer, clientFor } from "./client.js";
import type { CallOptions, Client, ServerOptions } from "./client.js";
import { validTraceparent } from "./config.js";
import { InvalidRequestError } from "./errors.js";
import type { Listeners } from "./events.js";
import { ExecStream, Execs, own, refuseUnknownRunOptions, runCode } from "./execs.js";
import type { RunOptions } from "./execs.js";
import { Files, localFiles } from "./files.js";
import type { WriteOptions } from "./files.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import { Ptys } from "./pty.js";
import { record } from "./results.js";
import type {
  Difference,
  ExecResult,
  Language,
  MergeReport,
  Relative,
  SandboxInfo,
} from "./results.js";
import { Space } from "./space.js";
import type { Answer } from "./transport.js";

export const DIFF_PATHS = ["/root", "/tmp"];

export interface SandboxOptions extends ServerOptions {
  /** What it is cloned from: `default`, `python-datasci`, or one of your own. */
  template?: string | undefined;
  /**
   * True for the internet, never the host or private networks; false for none;
   * `{ allow: ["*.example.org", …] }` for these only.
   */
  egress?: boolean | { allow: readonly string[] } | undefined;
  /** Freeze it when it is idle in place of destroying it; the next call wakes it. */
  persistent?: boolean | undefined;
  /** How long after its last call it lives; the server's default is 300. */
  idleTimeoutSeconds?: number | undefined;
  /** How long after its creation it lives at most; no limit by default. */
  maxLifetimeSeconds?: number | undefined;
  /** Its size; the template's by default. */
  cpus?: number | undefined;
  memoryMb?: number | undefined;
  diskMb?: number | undefined;
  /** Environment variables of all its processes. */
  env?: Record<string, string> | undefined;
  /**
   * Whether pip installs what a cell imports and is not there; stderr says so. A cell whose import
   * fails only while it runs is run again from its beginning.
   */
  autoInstall?: boolean | undefined;
  /** Your own labels, to find it again with `Sandbox.list`. */
  metadata?: Record<string, string> | undefined;
  /** A W3C trace context that goes with each call of this sandbox. */
  traceparent?: string | undefined;
  /** Accepted for the hosted service's programs; one server is one host. */
  region?: string | undefined;
  /** The same key makes the same sandbox, for 24 hours. By default each call has its own. */
  idempotencyKey?: string | undefined;
  /** Ends the call that creates it. */
  signal?: AbortSignal | undefined;
}

const SANDBOX_OPTIONS: Names<SandboxOptions> = {
  host: true,
  apiKey: true,
  client: true,
  template: true,
  egress: true,
  persistent: true,
  idleTimeoutSeconds: true,
  maxLifetimeSeconds: true,
  cpus: true,
  memoryMb: true,
  diskMb: true,
  env: true,
  autoInstall: true,
  metadata: true,
  traceparent: true,
  region: true,
  idempotencyKey: true,
  signal: true,
};

const FORK_OPTIONS = { signal: true, traceparent: true, idempotencyKey: true } as const;

const DIFF_OPTIONS = {
  signal: true,
  traceparent: true,
  paths: true,
  text: true,
  variables: true,
} as const;

const LIST_OPTIONS = {
  host: true,
  apiKey: true,
  client: true,
  signal: true,
  traceparent: true,
  template: true,
  state: true,
  metadata: true,
} as const;

const MERGE_OPTIONS: Names<MergeOptions> = {
  signal: true,
  traceparent: true,
  mode: true,
  dryRun: true,
  paths: true,
  onConflict: true,
};

export interface MergeOptions extends CallOptions {
  mode?: "swap" | "files" | undefined;
  /** Change nothing, and tell what would be changed. */
  dryRun?: boolean | undefined;
  /** For `files`, the directories to merge; `/root` and `/tmp` by default. */
  paths?: readonly string[] | string | undefined;
  /** For a file that both sides changed: change nothing at all, or take the file of that side. */
  onConflict?: "fail" | "winner" | "parent" | undefined;
}

/**
 * A microVM of its own for code that nobody vouches for. `Sandbox.create()` makes one, `close()`
 * or the end of an `await using` block destroys it. The code of several calls runs one after the
 * other.
 */
export class Sandbox implements AsyncDisposable {
  /** Lists, reads, writes and removes its files. */
  readonly files: Files;
  /** The code that runs without a reader. */
  readonly execs: Execs;
  /** Its terminals. */
  readonly pty: Ptys;
  /** @internal */
  readonly client: Client;
  /** @internal */
  readonly traceparent: string | undefined;
  readonly #options: SandboxOptions;
  #id: string | undefined;
  #opening: Promise<this> | undefined;
  #closed = false;

  /** A sandbox that is not made yet: `open()` does that. `Sandbox.create` is both in one. */
  constructor(options: SandboxOptions = {}) {
    refuseUnknown("Sandbox.create", options, SANDBOX_OPTIONS);
    if (options.egress !== undefined && typeof options.egress !== "boolean") {
      if (typeof options.egress !== "object" || Array.isArray(options.egress)) {
        const given = Array.isArray(options.egress) ? "an array" : typeof options.egress;
        throw new InvalidRequestError(`egress is true, false or an object, not ${given}`, {
          code: "invalid_argument",
          hint: 'for some hosts only: egress: { allow: ["*.example.org"] }',
        });
      }
    }
    this.#options = options;
    this.client = clientFor(options);
    this.traceparent = validTraceparent(options.traceparent);
    this.files = new Files(this);
    this.execs = new Execs(this);
    this.pty = new Ptys(this);
  }

  /** Makes a sandbox and waits until it is ready. */
  static async create(options: SandboxOptions = {}): Promise<Sandbox> {
    return new Sandbox(options).open();
  }

  /** The sandbox with this id, which may have been created by another program. */
  static async connect(id: string, options: ServerOptions & CallOptions = {}): Promise<Sandbox> {
    const client = clientFor(options);
    const found = Sandbox.known(id, client, options.traceparent);
    await found.info(options);
    return found;
  }

  /** All sandboxes of this key, or those that match every filter given; oldest first. */
  static async list(
    options: ServerOptions &
      CallOptions & {
        template?: string;
        state?: SandboxInfo["state"];
        metadata?: Record<string, string>;
      } = {},
  ): Promise<Sandbox[]> {
    refuseUnknown<object>("Sandbox.list", options, LIST_OPTIONS);
    const client = clientFor(options);
    const found: Sandbox[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.json(listSandboxes(options, cursor), {
        signal: options.signal,
        traceparent: options.traceparent,
      });
      for (const one of (page["sandboxes"] ?? []) as { id: string }[]) {
        found.push(Sandbox.known(one.id, client));
      }
      const next = (page["next_cursor"] ?? undefined) as string | undefined;
      if (next !== undefined && (typeof next !== "string" || next === cursor)) {
        throw badAnswer("the list of sandboxes does not end");
      }
      cursor = next;
    } while (cursor !== undefined);
    return found;
  }

  /** @internal */
  static known(id: string, client: Client, traceparent?: string): Sandbox {
    if (typeof id !== "string" || id === "") {
      throw new InvalidRequestError("a sandbox's id is needed here", { code: "invalid_argument" });
    }
    const sandbox = new Sandbox({ client, traceparent });
    sandbox.#id = id;
    sandbox.#opening = Promise.resolve(sandbox);
    return sandbox;
  }

  /** Creates it and waits until it is ready. Again does nothing. */
  open(): Promise<this> {
    this.#opening ??= this.#create().catch((error: unknown) => {
      this.#opening = undefined; // It may be tried again.
      throw error;
    });
    return this.#opening;
  }

  /** `sbx_` and 32 hexadecimal digits. */
  get id(): string {
    if (this.#id === undefined) {
      throw new InvalidRequestError("this sandbox has not been opened", {
        code: "not_open",
        hint: "await sandbox.open() first, or use await Sandbox.create()",
      });
    }
    return this.#id;
  }

  /**
   * Runs code and waits for its end. Errors of the code are in the result, not thrown. A callback
   * that throws ends the call and interrupts the code, unless `detach` is true.
   *
   * Throws `NotFoundError` when the sandbox is gone, and `ConnectionError` with the code
   * `outcome_unknown` when the connection broke for good: the code may have run, run now, or never
   * run.
   */
  async runCode(
    code: string,
    options: Language | (RunOptions & Listeners) = {},
  ): Promise<ExecResult> {
    return this.runCodeStream(code, options).result(typeof options === "string" ? {} : options);
  }

  /**
   * Runs code and answers an iterator of its events as they happen; the last is `exit`. The code is
   * started by this call. Leaving the loop early interrupts the code, unless `detach` is true.
   */
  runCodeStream(code: string, options: Language | RunOptions = {}): ExecStream {
    const how = typeof options === "string" ? { language: options } : options;
    refuseUnknownRunOptions(how);
    how.signal?.throwIfAborted();
    const call = runCode(this.id, code, how);
    const open = (more: CallOptions): Promise<Answer> => this.client.send(call, more);
    return new ExecStream(this, open, how, 0, undefined, !how.detach);
  }

  /** Stops the running code like Ctrl-C: its variables stay. Harmless when none runs. */
  async interrupt(options: CallOptions = {}): Promise<void> {
    // Not repeatable: a second interrupt could hit the exec after the one that was meant.
    await this.#json({ method: "POST", target: sandboxPath(this.id, "/interrupt") }, options);
  }

  /**
   * Creates or replaces a file, like `files.write`; path and data in either order. Of two strings
   * the first is the path, then comes the text. A text that names a file of this machine, or a
   * path next to the name of one, is refused, since the file is likely meant: see `uploadFrom`; as
   * bytes it is stored. Answers the number of bytes.
   */
  async upload(path: string, data: Data, options?: WriteOptions): Promise<number>;
  async upload(data: Data, path: string, options?: WriteOptions): Promise<number>;
  async upload(first: string | Data, second: string | Data, options?: WriteOptions): Promise<number> {
    const [path, data] = pathAndData(first, second);
    return this.files.write(path, data, options);
  }

  /**
   * Copies a local file, or a folder with all that is in it, into the sandbox, and answers the
   * number of bytes. It goes under its own name into `/root` by default; into a directory, if `path`
   * ends with `/`. A file keeps its permissions unless `mode` says others.
   */
  async uploadFrom(local: string, path?: string, options: WriteOptions = {}): Promise<number> {
    let total = 0;
    for await (const file of localFiles(local, path)) {
      const how = { ...options, mode: options.mode ?? file.mode };
      total += await this.files.write(file.target, createReadStream(file.source), how);
    }
    return total;
  }

  /** The whole file, like `files.read`. */
  async download(path: string, options: CallOptions = {}): Promise<Uint8Array> {
    return this.files.read(path, options);
  }

  /** Copies a file of the sandbox into a local one in constant memory, like `files.readTo`. */
  async downloadTo(path: string, localPath: string, options: CallOptions = {}): Promise<number> {
    return this.files.readTo(path, localPath, options);
  }

  /** What the server knows about it now: state, template, limits, memory, cpu time. */
  async info(options: CallOptions = {}): Promise<SandboxInfo> {
    return record<SandboxInfo>(await this.#json(get(sandboxPath(this.id)), options));
  }

  /**
   * Makes n live copies: each has every variable, file, thread and process of this one. This
   * sandbox stands still for milliseconds and goes on. Each copy is closed on its own.
   *
   * All of them are made, or none: `CapacityError` when the host can't hold all of them.
   */
  async fork(
    n: number | { n?: number } = 1,
    options: CallOptions & { idempotencyKey?: string | undefined } = {},
  ): Promise<Sandbox[]> {
    if (typeof n !== "number") refuseUnknown("fork", n, { n: true });
    refuseUnknown<object>("fork", options, FORK_OPTIONS);
    const count = typeof n === "number" ? n : (n.n ?? 1);
    const call = makeOnce(sandboxPath(this.id, "/fork"), { n: count }, options.idempotencyKey);
    const ids = (await this.#json(call, options))["children"];
    if (!Array.isArray(ids) || !ids.every((id) => typeof id === "string" && id !== "")) {
      throw badAnswer("the answer to the fork has no ids of children");
    }
    return (ids as string[]).map((id) => Sandbox.known(id, this.client, this.traceparent));
  }

  /** This sandbox and all that it shares an ancestor with, the dead too, oldest first. */
  async family(options: CallOptions = {}): Promise<Relative[]> {
    const answer = await this.#json(get(sandboxPath(this.id, "/family")), options);
    return ((answer["sandboxes"] ?? []) as unknown[]).map((one) => record<Relative>(one));
  }

  /** What differs between this sandbox and another one, seen from here to there. */
  async diff(
    other: Sandbox | string,
    options: CallOptions & {
      paths?: readonly string[] | string | undefined;
      /** Tell changes of small text files as unified diffs. */
      text?: boolean | undefined;
      /** Compare the Python globals too; true by default. */
      variables?: boolean | undefined;
    } = {},
  ): Promise<Difference> {
    refuseUnknown<object>("diff", options, DIFF_OPTIONS);
    const given = options.paths ?? DIFF_PATHS;
    const paths = typeof given === "string" ? [given] : given;
    const target =
      sandboxPath(this.id, `/diff/${part(idOf(other))}`) +
      query([
        ...paths.map((path): [string, string] => ["path", path]),
        ["text", String(options.text ?? false)],
        ["variables", String(options.variables ?? true)],
      ]);
    return record<Difference>(await this.#json(get(target), options));
  }

  /**
   * Makes a fork's outcome this sandbox's own.
   *
   * `swap`: this sandbox becomes the winner, whole: its id and this object drive the winner's
   * machine, and `winner.close()` then does nothing. `files`: the files that the winner changed
   * since the fork are changed here, in the running sandbox; the winner stays. Answers null for a
   * swap, else what was changed, or would be.
   *
   * Throws `MergeConflictError` when both sides changed a file; its `conflicts` say which.
   */
  async mergeInto(winner: Sandbox | string, options: MergeOptions = {}): Promise<MergeReport | null> {
    refuseUnknown("mergeInto", options, MERGE_OPTIONS);
    const { mode = "swap", dryRun = false, paths, onConflict = "fail" } = options;
    const target = sandboxPath(this.id, `/merge_into/${part(idOf(winner))}`);
    const plain = mode === "swap" && !dryRun && paths === undefined && onConflict === "fail";
    // Not repeatable: after a swap that was carried out, the winner's id is gone. Patient: it waits
    // for code that runs. Without a body it is the call that the hosted service knows.
    const call: Call = plain
      ? { method: "POST", target, patient: true }
      : post(
          target,
          {
            mode,
            dry_run: dryRun,
            paths: typeof paths === "string" ? [paths] : paths,
            on_conflict: onConflict,
          },
          { patient: true },
        );
    const report = await this.#json(call, options);
    if (mode === "swap" && !dryRun) {
      if (winner instanceof Sandbox) winner.#closed = true;
      return null;
    }
    return record<MergeReport>(report);
  }

  /**
   * Writes memory, disk and processes to the server's disk, and ends the sandbox. Waits for code
   * that runs. `Space.resume` wakes it under a new id. A sandbox that can't be frozen goes on.
   */
  async freeze(options: CallOptions = {}): Promise<Space> {
    const target = sandboxPath(this.id, "/freeze");
    const id = (await this.#json({ method: "POST", target, patient: true }, options))["space"];
    if (typeof id !== "string" || id === "") {
      throw badAnswer("the answer to the freeze has no id of a Space");
    }
    this.#closed = true;
    return new Space(id, this.client);
  }

  /** Destroys the sandbox, with all that runs in it. Closing it again does nothing. */
  async close(options: CallOptions = {}): Promise<void> {
    if (this.#closed || this.#opening === undefined) return;
    await this.#opening;
    await this.#json({ method: "DELETE", target: sandboxPath(this.id), repeatable: true }, options);
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #create(): Promise<this> {
    const given = this.#options;
    const call = makeOnce(
      "/v1/sandboxes",
      {
        template: given.template ?? "default",
        egress: given.egress ?? true,
        persistent: given.persistent || undefined,
        idle_timeout_seconds: given.idleTimeoutSeconds,
        max_lifetime_seconds: given.maxLifetimeSeconds,
        cpus: given.cpus,
        memory_mb: given.memoryMb,
        disk_mb: given.diskMb,
        env: given.env,
        metadata: given.metadata,
        auto_install: given.autoInstall || undefined,
      },
      given.idempotencyKey,
    );
    this.#id = createdId(await this.#json(call, { signal: given.signal }));
    return this;
  }

  #json(call: Call, options: CallOptions): Promise<Record<string, unknown>> {
    return this.client.json(call, own(this as { id: string } & Sandbox, options));
  }
}

/** The id in the answer to a call that makes a sandbox. */
export function createdId(answer: Record<string, unknown>): string {
  const id = answer["id"];
  if (typeof id !== "string" || id === "") {
    throw badAnswer("the answer to the create call has no id");
  }
  return id;
}

function idOf(sandbox: unknown): string {
  const id = sandbox instanceof Sandbox ? sandbox.id : sandbox;
  if (typeof id !== "string" || id === "") {
    throw new InvalidRequestError("a sandbox or its id is needed here", {
      code: "invalid_argument",
    });
  }
  return id;
}
