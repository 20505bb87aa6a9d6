/** Terminals in a sandbox. */

import { get, part, query, sandbox as sandboxPath } from "./calls.js";
import { CALL_OPTIONS } from "./client.js";
import type { CallOptions } from "./client.js";
import { ConflictError, PodflareError } from "./errors.js";
import { own } from "./execs.js";
import type { Owner } from "./execs.js";
import { cutOff } from "./failures.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import { record } from "./results.js";
import type { PtyInfo } from "./results.js";
import { openSocket } from "./websocket.js";
import type { Socket } from "./websocket.js";

const TAKEN_OVER = 4001;
// What a terminal says before anybody listens; more than the server's replay of 1 MiB.
const MOST_UNREAD = 4 * 1024 * 1024;

export interface PtyOptions {
  /** Called with each piece of output. Without it, iterate over the terminal. */
  onData?: ((bytes: Uint8Array) => unknown) | undefined;
  /** Kills the terminal's programs when it has not ended by then. */
  timeoutMs?: number | undefined;
}

export interface PtyCreateOptions extends PtyOptions {
  /** What runs in it; `bash -l` by default. */
  cmd?: string | undefined;
  cols?: number | undefined;
  rows?: number | undefined;
  cwd?: string | undefined;
}

const ATTACH_OPTIONS: Names<PtyOptions> = { onData: true, timeoutMs: true };
const CREATE_OPTIONS: Names<PtyCreateOptions> = {
  ...ATTACH_OPTIONS,
  cmd: true,
  cols: true,
  rows: true,
  cwd: true,
};

/** How a terminal ended: 128 and the signal's number after a signal. */
export interface PtyExit {
  exitCode: number;
  reason: string | undefined;
}

/**
 * A terminal that this program reads. It goes on when it is detached, or when this program ends.
 *
 * Output goes to `onData`, or to whoever iterates over it; the first to attach later gets the last
 * 1 MiB again. One reader a terminal: a new one takes over.
 */
export class Pty implements AsyncIterable<Uint8Array>, AsyncDisposable {
  #id = "";
  #pid = 0;
  readonly #onData: ((bytes: Uint8Array) => unknown) | undefined;
  #socket: Socket | undefined;
  #unread: Uint8Array[] = [];
  #unreadSize = 0;
  #wake: (() => void) | undefined;
  #exit: PtyExit | undefined;
  #failure: Error | undefined;
  #detached = false;
  #ended = false;
  readonly #over: Promise<void>;
  #end!: () => void;
  readonly #hello: Promise<void>;
  #greeted!: () => void;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: PtyOptions) {
    this.#onData = options.onData;
    this.#over = new Promise((end) => (this.#end = end));
    this.#hello = new Promise((greeted) => (this.#greeted = greeted));
  }

  /** @internal */
  static async open(
    owner: Owner,
    target: string,
    options: PtyOptions,
    refused: () => Promise<PodflareError | undefined>,
  ): Promise<Pty> {
    const pty = new Pty(options);
    const { transport, settings } = owner.client;
    pty.#socket = await openSocket(
      transport,
      target,
      settings.apiKey,
      {
        onText: (text) => pty.#told(text),
        onBytes: (bytes) => pty.#output(bytes),
        onClose: (code, reason) => pty.#closed(transport.host, code, reason),
      },
      refused,
    );
    await Promise.race([pty.#hello, pty.#over]);
    if (pty.#id === "") throw pty.#failure ?? cutOff(transport.host, "it named no terminal");
    if (options.timeoutMs !== undefined) {
      pty.#timer = setTimeout(() => pty.kill(), options.timeoutMs);
    }
    return pty;
  }

  /** `pty_` and 32 hexadecimal digits, to attach to it again. */
  get id(): string {
    return this.#id;
  }

  /** The id of its first process, in the sandbox. */
  get pid(): number {
    return this.#pid;
  }

  /** Types into it. */
  sendInput(data: string | Uint8Array): void {
    this.#need().send(typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  /** Tells its programs its new size. */
  resize(cols: number | { cols: number; rows: number }, rows?: number): void {
    const size = typeof cols === "number" ? { cols, rows } : { cols: cols.cols, rows: cols.rows };
    this.#need().send(JSON.stringify({ resize: size }));
  }

  /** Sends a signal, like `SIGINT`, to its foreground programs. */
  signal(name: string): void {
    this.#need().send(JSON.stringify({ signal: name }));
  }

  /** Kills its programs. `wait` then tells its end. */
  kill(): void {
    if (!this.#ended) this.#need().send(JSON.stringify({ kill: true }));
  }

  /**
   * Waits for its end. Throws `ConflictError` with the code `pty_taken_over` when another reader
   * took over, and `ConnectionError` when the connection broke; the terminal goes on then.
   */
  async wait(): Promise<PtyExit> {
    await this.#over;
    if (this.#exit !== undefined) return this.#exit;
    throw (
      this.#failure ??
      new ConflictError("this program has detached from the terminal", {
        code: "pty_detached",
        hint: `it runs on; sandbox.pty.attach("${this.#id}") goes back to it`,
      })
    );
  }

  /** Stops reading. The terminal goes on. */
  async detach(): Promise<void> {
    if (this.#ended) return;
    this.#detached = true;
    this.#socket?.close();
    await this.#over;
  }

  /** Kills it, if it has not ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.kill();
    await this.#over;
  }

  /** Its output, until it ends or is detached. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (true) {
      const next = this.#unread.shift();
      if (next !== undefined) {
        this.#unreadSize -= next.length;
        yield next;
      } else if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure;
        return;
      } else {
        await new Promise<void>((wake) => (this.#wake = wake));
      }
    }
  }

  #need(): Socket {
    if (this.#socket === undefined || this.#ended) {
      throw new ConflictError("the terminal has ended, or this program has detached from it", {
        code: "pty_ended",
        hint: "sandbox.pty.list() tells which terminals run",
      });
    }
    return this.#socket;
  }

  #told(text: string): void {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(text) as Record<string, unknown>;
    } catch {
      return; // A newer server's words; what this version needs is JSON.
    }
    if (typeof message["pty"] === "string") {
      this.#id = message["pty"];
      this.#pid = typeof message["pid"] === "number" ? message["pid"] : 0;
      this.#greeted();
    }
    const exit = message["exit"] as { code?: unknown; reason?: unknown } | undefined;
    if (typeof exit?.code === "number") {
      const reason = typeof exit.reason === "string" ? exit.reason : undefined;
      this.#exit = { exitCode: exit.code, reason };
    }
  }

  #output(bytes: Uint8Array): void {
    if (this.#onData !== undefined) {
      try {
        this.#onData(bytes);
      } catch (error) {
        this.#fail(error as Error);
      }
      return;
    }
    this.#unread.push(bytes);
    this.#unreadSize += bytes.length;
    // Nobody reads: as a terminal's scroll-back does, the oldest goes.
    while (this.#unreadSize > MOST_UNREAD) {
      this.#unreadSize -= (this.#unread.shift() as Uint8Array).length;
    }
    this.#wake?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket?.close();
    this.#finish();
  }

  #closed(host: string, code: number, reason: string): void {
    if (this.#exit === undefined && !this.#detached && this.#failure === undefined) {
      this.#failure =
        code === TAKEN_OVER
          ? new ConflictError("another program has attached to this terminal", {
              code: "pty_taken_over",
              hint: "one reader a terminal: attach again to take it back",
            })
          : cutOff(host, `the terminal's connection ended (${code}${reason ? `, ${reason}` : ""})`);
    }
    this.#finish();
  }

  #finish(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#end();
    this.#wake?.();
  }
}

/** The terminals of a sandbox: `sandbox.pty`. */
export class Ptys {
  readonly #owner: Owner;

  /** @internal */
  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** Opens a terminal. */
  async create(options: PtyCreateOptions = {}): Promise<Pty> {
    refuseUnknown("pty.create", options, CREATE_OPTIONS);
    return this.#open(options, [
      ["cmd", options.cmd],
      ["cols", String(options.cols ?? 80)],
      ["rows", String(options.rows ?? 24)],
      ["cwd", options.cwd],
    ]);
  }

  /** Reads a terminal that runs: its last 1 MiB of output comes first. */
  async attach(id: string, options: PtyOptions = {}): Promise<Pty> {
    refuseUnknown("pty.attach", options, ATTACH_OPTIONS);
    return this.#open(options, [["pty", id]]);
  }

  /** Those that run, and those that ended and are remembered. */
  async list(options: CallOptions = {}): Promise<PtyInfo[]> {
    refuseUnknown("pty.list", options, CALL_OPTIONS);
    const answer = await this.#owner.client.json(
      get(sandboxPath(this.#owner.id, "/ptys")),
      own(this.#owner, options),
    );
    return ((answer["ptys"] ?? []) as unknown[]).map((one) => record<PtyInfo>(one));
  }

  /** Kills a terminal. */
  async kill(id: string, options: CallOptions = {}): Promise<void> {
    refuseUnknown("pty.kill", options, CALL_OPTIONS);
    const target = sandboxPath(this.#owner.id, `/ptys/${part(id)}`);
    await this.#owner.client.json({ method: "DELETE", target }, own(this.#owner, options));
  }

  #open(options: PtyOptions, asked: [string, string | undefined][]): Promise<Pty> {
    const target = sandboxPath(this.#owner.id, "/pty") + query(asked);
    // A WebSocket that was refused does not say why; the same path without the upgrade does.
    const refused = async (): Promise<PodflareError | undefined> => {
      try {
        await this.#owner.client.json(get(sandboxPath(this.#owner.id, "/ptys")));
        await this.#owner.client.json(get(target));
        return undefined;
      } catch (error) {
        if (error instanceof PodflareError) return error;
        throw error;
      }
    };
    return Pty.open(this.#owner, target, options, refused);
  }
}
