/** Running code: the stream of one exec, and the execs of a sandbox that nobody reads. */

import { setTimeout as pause } from "node:timers/promises";

import { get, post, query, sandbox as sandboxPath, part } from "./calls.js";
import { badAnswer } from "./client.js";
import type { CallOptions, Client } from "./client.js";
import {
  CapacityError,
  ConnectionError,
  InvalidRequestError,
  NotFoundError,
  TimeoutError,
} from "./errors.js";
import { EventDecoder, Transcript, tell } from "./events.js";
import type { Listeners } from "./events.js";
import { closedMeanwhile, outcomeUnknown } from "./failures.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import { record } from "./results.js";
import type { Event, ExecInfo, ExecResult, Language } from "./results.js";
import type { Answer } from "./transport.js";

/** How code is run. */
export interface RunOptions extends CallOptions {
  /** `python` for the process that stays alive; `bash` for a fresh one in the same file system. */
  language?: Language | undefined;
  /**
   * Seconds for the whole call, waiting behind other calls included. Then the code is interrupted,
   * which keeps its variables, or never begins: the `error` is named `QueuedTooLong` then. No limit
   * by default.
   */
  timeoutSeconds?: number | undefined;
  /** Environment variables for this call only. */
  env?: Record<string, string> | undefined;
  /** Working directory for this call only. */
  cwd?: string | undefined;
  /** Interrupts the code; the call then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Let the code run on when the call is left early: by a callback that throws, by `break`. */
  detach?: boolean | undefined;
}

const RUN_OPTIONS: Names<RunOptions & Listeners> = {
  language: true,
  timeoutSeconds: true,
  env: true,
  cwd: true,
  signal: true,
  detach: true,
  traceparent: true,
  onStdout: true,
  onStderr: true,
  onResult: true,
};

const NEWLINE = 10;

/** What an exec belongs to. */
export interface Owner {
  readonly id: string;
  readonly client: Client;
  readonly traceparent: string | undefined;
}

/**
 * How long to wait before each further try of a stream that lost its connection and told nothing
 * since: a server that is restarted is back within seconds. After the last one it is worth it only as
 * long as the server says that the code still runs.
 */
export const RESUME = { pausesMs: [0, 50, 250, 1_000, 3_000] };
/** How long the interrupt of code that nobody waits for any more may keep its caller. */
export const INTERRUPT = { longestMs: 5_000 };
/**
 * A server sends a blank line after 15 s in which an exec's stream was silent. After three of them
 * that did not come the peer is dead, whatever the connection looks like.
 */
export const SILENCE = { seconds: 45 };
const EXEC_ID = /^exe_[0-9a-f]{32}$/;

/**
 * The events of a running exec, as an asynchronous iterator. The code has been started when this
 * exists. Leaving the loop early, and an aborted signal, interrupt the code like Ctrl-C: its
 * variables stay. With `detach` leaving lets it run; so does the stream of an `Exec`.
 *
 * When the connection breaks, or is silent for longer than the server ever leaves it, it goes on by
 * itself where it was, as far as the server kept the events; what is lost is an event of type `gap`.
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
  #stopping: Promise<void> | undefined;
  readonly #takesAlong: boolean;

  /** @internal */
  constructor(
    owner: Owner,
    open: (options: CallOptions) => Promise<Answer>,
    options: CallOptions,
    from = 0,
    execId?: string,
    takesAlong = false,
  ) {
    this.#owner = owner;
    this.#takesAlong = takesAlong;
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

  /** Stops listening, and interrupts code of `runCodeStream` unless it was to be detached. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#ready = [];
    this.#at = 0;
    const answer = this.#answer;
    if (this.#decoder.finished) {
      await answer?.finish();
    } else if (this.#takesAlong) {
      answer?.close();
      await atMost(INTERRUPT.longestMs, this.#stopTheCode());
    } else if (answer === undefined) {
      void this.#opening?.then((late) => late.close(), () => {});
    } else {
      answer.close();
    }
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
        this.#listen(answer);
      }
      const data = await this.#unlessAborted(this.#answer.next());
      if (data === undefined) throw outcomeUnknown("the answer ended before the exit event");
      this.#ready = this.#decoder.feed(data);
      this.#at = 0;
      // An event, or the heartbeat of code that is silent.
      if (data.includes(NEWLINE)) this.#fruitless = 0;
      const last = this.#ready.at(-1);
      if (last !== undefined) {
        this.#next = last.type === "gap" ? last.data.to : last.seq + 1;
      }
    } catch (error) {
      const started = this.#answer !== undefined;
      const broken = error instanceof ConnectionError || error instanceof TimeoutError;
      if (started && this.#closed) throw closedMeanwhile("the stream");
      if (started && broken && !this.#signal?.aborted) {
        await this.#resume(error);
      } else {
        await this.close();
        throw error;
      }
    }
  }

  /** Goes on where the broken connection was. */
  async #resume(broken: ConnectionError | TimeoutError): Promise<void> {
    this.#answer?.close();
    const id = this.#execId;
    while (
      id !== undefined &&
      !this.#closed &&
      (this.#fruitless < RESUME.pausesMs.length || (await this.#stillRuns(id)))
    ) {
      let answer: Answer;
      try {
        await this.#unlessAborted(pause(RESUME.pausesMs[this.#fruitless++]));
        answer = await this.#owner.client.send(
          eventsFrom(this.#owner.id, id, this.#next),
          { signal: this.#signal, traceparent: this.#owner.traceparent },
        );
      } catch (error) {
        const isAborted = this.#signal?.aborted === true;
        const isAway = error instanceof ConnectionError || error instanceof CapacityError;
        if (isAway && !isAborted) continue; // The server is not back yet.
        this.#closed = true;
        if (isAborted) throw error;
        throw outcomeUnknown(error instanceof NotFoundError ? broken : error);
      }
      if (this.#closed) {
        answer.close();
        break;
      }
      this.#answer = answer;
      this.#listen(answer);
      this.#decoder = new EventDecoder();
      return;
    }
    if (this.#closed) throw closedMeanwhile("the stream");
    this.#closed = true;
    throw broken.code === "outcome_unknown" ? broken : outcomeUnknown(broken);
  }

  /** Whether the server says so, for a relay that cuts every silence. */
  async #stillRuns(execId: string): Promise<boolean> {
    const target = sandboxPath(this.#owner.id, `/execs/${part(execId)}`);
    try {
      const { state } = await this.#owner.client.json(get(target), own(this.#owner, {}));
      if (state !== "running" && state !== "queued") return false;
      this.#fruitless = RESUME.pausesMs.length - 1;
      return true;
    } catch {
      return false; // What broke the stream matters more.
    }
  }

  #listen(answer: Answer): void {
    if (this.#execId !== undefined) answer.expectWithin(SILENCE.seconds);
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

  #stopTheCode(): Promise<void> {
    return (this.#stopping ??= this.#stopTheCodeOnce());
  }

  async #stopTheCodeOnce(): Promise<void> {
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
    options: Omit<RunOptions, "signal" | "detach"> & { background?: boolean | undefined } = {},
  ): Promise<Exec> {
    refuseUnknown("execs.start", options, START_OPTIONS);
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
    if (typeof id !== "string" || !EXEC_ID.test(id)) {
      const given = String(id).slice(0, 80);
      throw new InvalidRequestError(
        `${JSON.stringify(given)} is no id of an exec (exe_ and 32 hexadecimal digits)`,
        {
          code: "invalid_argument",
          hint:
            "get finds an exec again; to run code call runCode(code), to run a command " +
            'runCode(command, "bash")',
        },
      );
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

const START_OPTIONS: Names<
  Omit<RunOptions, "signal" | "detach"> & { background?: boolean | undefined }
> = { language: true, timeoutSeconds: true, env: true, cwd: true, traceparent: true, background: true };

/** Refuses options that running code does not have. */
export function refuseUnknownRunOptions(options: RunOptions & Listeners): void {
  refuseUnknown("runCode", options, RUN_OPTIONS);
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

/** Waits for it, but not longer; it goes on then. */
async function atMost(ms: number, waiting: Promise<void>): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([waiting, pause(ms, undefined, { signal: over.signal })]);
  } finally {
    over.abort();
  }
}

function eventsFrom(sandboxId: string, execId: string, seq: number): ReturnType<typeof get> {
  const target = sandboxPath(sandboxId, `/execs/${part(execId)}/stream`);
  return get(target + query([["from", String(seq)]]), { patient: true });
}
