/** Running code: the stream of one exec, and the execs of a sandbox that nobody reads. */

import { get, post, query, sandbox as sandboxPath, part } from "./calls.js";
import { badAnswer } from "./client.js";
import type { CallOptions, Client } from "./client.js";
import { ConnectionError, InvalidRequestError, NotFoundError } from "./errors.js";
import { EventDecoder, Transcript, tell } from "./events.js";
import type { Listeners } from "./events.js";
import { outcomeUnknown } from "./failures.js";
import { record } from "./results.js";
import type { Event, ExecInfo, ExecResult, Language } from "./results.js";
import type { Answer } from "./transport.js";

/** How code is run. */
export interface RunOptions extends CallOptions {
  /** `python` for the process that stays alive; `bash` for a fresh one in the same file system. */
  language?: Language | undefined;
  /** Seconds after which the code is interrupted, which keeps its variables. No limit by default. */
  timeoutSeconds?: number | undefined;
  /** Environment variables for this call only. */
  env?: Record<string, string> | undefined;
  /** Working directory for this call only. */
  cwd?: string | undefined;
  /** Interrupts the code; the call then throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What an exec belongs to. */
export interface Owner {
  readonly id: string;
  readonly client: Client;
  readonly traceparent: string | undefined;
}

// A connection that breaks again and again without an event in between is not worth it.
const MOST_FRUITLESS = 5;

/**
 * The events of a running exec, as an asynchronous iterator. The code has been started when this
 * exists. Leaving the loop early stops listening, not the code; an aborted signal stops the code.
 *
 * When the connection breaks, it goes on by itself where it was, as far as the server kept the
 * events; what is lost is an event of type `gap`.
 */
export class ExecStream implements AsyncIterableIterator<Event>, AsyncDisposable {
  readonly #owner: Owner;
  readonly #signal: AbortSignal | undefined;
  #opening: Promise<Answer> | undefined;
  #answer: Answer | undefined;
  #decoder = new EventDecoder();
  #ready: Event[] = [];
  #at = 0;
  #next: number;
  #fruitless = 0;
  #execId: string | undefined;
  #closed = false;

  /** @internal */
  constructor(
    owner: Owner,
    open: (options: CallOptions) => Promise<Answer>,
    options: CallOptions,
    from = 0,
    execId?: string,
  ) {
    this.#owner = owner;
    this.#signal = options.signal;
    this.#next = from;
    this.#execId = execId;
    // Not with the signal: the server tells the exec's id only in its answer, and without that it
    // could not be told to stop.
    this.#opening = open({ traceparent: options.traceparent ?? owner.traceparent });
    this.#opening.catch(() => {}); // It is thrown where the caller waits: by next().
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
    if (this.#signal?.aborted) this.#abort();
  }

  /** The exec's id, once the server has told it; see `Sandbox.execs`. */
  get execId(): string | undefined {
    return this.#execId;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Event, undefined>> {
    while (this.#at >= this.#ready.length) {
      if (this.#signal?.aborted) throw this.#signal.reason;
      if (this.#decoder.finished) await this.close();
      if (this.#closed) return { done: true, value: undefined };
      await this.#receive();
    }
    const value = this.#ready[this.#at++] as Event;
    return { done: false, value };
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Stops listening. The code runs on unless it has ended. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#ready = [];
    this.#at = 0;
    const answer = this.#answer;
    if (answer === undefined) void this.#opening?.then((late) => late.close(), () => {});
    else if (this.#decoder.finished) await answer.finish();
    else answer.close();
  }

  /** The rest of the events as one result. */
  async result(listeners: Listeners = {}): Promise<ExecResult> {
    const transcript = new Transcript();
    const listens =
      listeners.onStdout !== undefined ||
      listeners.onStderr !== undefined ||
      listeners.onResult !== undefined;
    try {
      for (let one; !(one = await this.next()).done; ) {
        transcript.add(one.value);
        if (listens) await tell(one.value, listeners);
      }
    } finally {
      await this.close();
    }
    return transcript.result();
  }

  async #receive(): Promise<void> {
    try {
      if (this.#answer === undefined) {
        const answer = await this.#unlessAborted(this.#opening as Promise<Answer>);
        this.#answer = answer;
        const id = answer.headers["x-exec-id"];
        if (typeof id === "string") this.#execId = id;
      }
      const data = await this.#unlessAborted(this.#answer.next());
      if (data === undefined) throw outcomeUnknown("the answer ended before the exit event");
      this.#ready = this.#decoder.feed(data);
      this.#at = 0;
      const last = this.#ready.at(-1);
      if (last !== undefined) {
        this.#fruitless = 0;
        this.#next = last.type === "gap" ? last.data.to : last.seq + 1;
      }
    } catch (error) {
      const started = this.#answer !== undefined;
      if (started && error instanceof ConnectionError && !this.#signal?.aborted) {
        await this.#resume(error);
      } else {
        await this.close();
        throw error;
      }
    }
  }

  /** Goes on where the broken connection was. */
  async #resume(broken: ConnectionError): Promise<void> {
    this.#answer?.close();
    if (this.#execId === undefined || ++this.#fruitless > MOST_FRUITLESS) {
      this.#closed = true;
      throw broken.code === "outcome_unknown" ? broken : outcomeUnknown(broken);
    }
    try {
      this.#answer = await this.#owner.client.send(
        eventsFrom(this.#owner.id, this.#execId, this.#next),
        { signal: this.#signal, traceparent: this.#owner.traceparent },
      );
      this.#decoder = new EventDecoder();
    } catch (error) {
      this.#closed = true;
      if (this.#signal?.aborted) throw error;
      throw outcomeUnknown(error instanceof NotFoundError ? broken : error);
    }
  }

  async #unlessAborted<T>(waiting: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return waiting;
    let stop: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason as Error);
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
    });
    try {
      return await Promise.race([waiting, aborted]);
    } finally {
      signal.removeEventListener("abort", stop as () => void);
    }
  }

  readonly #abort = (): void => {
    void this.#stopTheCode();
  };

  async #stopTheCode(): Promise<void> {
    try {
      const answer = this.#answer ?? (await this.#opening);
      const id = this.#execId ?? answer?.headers["x-exec-id"];
      if (typeof id === "string" && !this.#decoder.finished) {
        await interruptExec(this.#owner, id);
      }
      answer?.close();
    } catch {
      // The caller has been told that it was aborted; that the server is gone too adds nothing.
    }
  }
}

/** One exec of a sandbox, which runs whether or not somebody reads. */
export class Exec {
  readonly #owner: Owner;

  /** @internal */
  constructor(
    /** `exe_` and 32 hexadecimal digits. */
    readonly id: string,
    owner: Owner,
  ) {
    this.#owner = owner;
  }

  /** What the server knows about it now. */
  async info(options: CallOptions = {}): Promise<ExecInfo> {
    const target = sandboxPath(this.#owner.id, `/execs/${part(this.id)}`);
    return record<ExecInfo>(await this.#owner.client.json(get(target), own(this.#owner, options)));
  }

  /**
   * Its events from the number `from` on, those that were and then those that come, to the exit.
   * Any number of readers may do that. An aborted signal interrupts the exec.
   */
  stream(options: CallOptions & { from?: number | undefined } = {}): ExecStream {
    const from = options.from ?? 0;
    const open = (how: CallOptions): Promise<Answer> =>
      this.#owner.client.send(eventsFrom(this.#owner.id, this.id, from), how);
    return new ExecStream(this.#owner, open, options, from, this.id);
  }

  /** Waits for its end: all of its events as one result. */
  async wait(options: CallOptions & Listeners = {}): Promise<ExecResult> {
    return this.stream(options).result(options);
  }

  /** Stops it like Ctrl-C, and no other. */
  async interrupt(options: CallOptions = {}): Promise<void> {
    await interruptExec(this.#owner, this.id, options);
  }
}

/** The execs of a sandbox: `sandbox.execs`. */
export class Execs {
  readonly #owner: Owner;

  /** @internal */
  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /**
   * Starts code that nobody waits for, and answers at once, also while it still waits for its turn.
   * With `background`, which needs the language `bash`, it runs beside everything else.
   */
  async start(
    code: string,
    options: Omit<RunOptions, "signal"> & { background?: boolean | undefined } = {},
  ): Promise<Exec> {
    const call = runCode(this.#owner.id, code, options, {
      detach: true,
      background: options.background || undefined,
    });
    const answer = await this.#owner.client.json(call, own(this.#owner, options));
    const id = answer["exec"];
    if (typeof id !== "string" || id === "") throw badAnswer("the answer has no id of an exec");
    return new Exec(id, this.#owner);
  }

  /** The exec with this id; no call is made. */
  get(id: string): Exec {
    if (typeof id !== "string" || id === "") {
      throw new InvalidRequestError("an exec's id is needed here", { code: "invalid_argument" });
    }
    return new Exec(id, this.#owner);
  }

  /** Those that run or wait, and the last ones that ended; oldest first. */
  async list(options: CallOptions = {}): Promise<ExecInfo[]> {
    const answer = await this.#owner.client.json(
      get(sandboxPath(this.#owner.id, "/execs")),
      own(this.#owner, options),
    );
    return ((answer["execs"] ?? []) as unknown[]).map((one) => record<ExecInfo>(one));
  }
}

/** The call that runs code. */
export function runCode(
  id: string,
  code: string,
  options: RunOptions,
  more: Record<string, unknown> = {},
): ReturnType<typeof post> {
  return post(
    sandboxPath(id, "/exec"),
    {
      code,
      language: options.language ?? "python",
      timeout_seconds: options.timeoutSeconds,
      env: options.env,
      cwd: options.cwd,
      ...more,
    },
    { patient: true },
  );
}

export function own<T extends CallOptions>(owner: Owner, options: T): CallOptions {
  return { signal: options.signal, traceparent: options.traceparent ?? owner.traceparent };
}

async function interruptExec(owner: Owner, id: string, options: CallOptions = {}): Promise<void> {
  const target = sandboxPath(owner.id, `/execs/${part(id)}/interrupt`);
  // Repeatable, as an interrupt of the sandbox is not: it can't hit another exec.
  await owner.client.json({ method: "POST", target, repeatable: true }, own(owner, options));
}

function eventsFrom(sandboxId: string, execId: string, seq: number): ReturnType<typeof get> {
  const target = sandboxPath(sandboxId, `/execs/${part(execId)}/stream`);
  return get(target + query([["from", String(seq)]]), { patient: true });
}
