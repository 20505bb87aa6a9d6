/**
 * Requests to one server over kept-alive connections, on `node:http`.
 *
 * Not on `fetch`: on loopback that costs 0.1 to 0.15 ms more a call, and it ends an answer that is
 * quiet for 300 s, as code that computes may well be.
 *
 * There is one connection per concurrent call. A kept-alive connection can die while it is idle,
 * and a server can restart. A call whose connection dies before a byte of the answer came is sent
 * again if the request had not been sent in full (then the server can't have carried it out), or
 * if it is repeatable: reading, closing, uploads from memory, and what has an idempotency key.
 * Code is not: it must not run twice.
 */

import { Agent, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import { Agent as TlsAgent, request as httpsRequest } from "node:https";
import { setImmediate, setTimeout as pause } from "node:timers/promises";

import type { Call } from "./calls.js";
import { cutOff, notSent, silent, unanswered, unreachable } from "./failures.js";

const CONNECT_MS = 10_000;
// Routers on the way to a remote server forget a quiet connection without telling either end.
const LONGEST_IDLE_MS = 60_000;
const MOST_IDLE = 16;
// The end of an answer whose last event is known comes at once, or the connection is not worth it.
const TAIL_MS = 1_000;
// A connection that was idle for so long may have been closed by the server.
const DOUBTFUL_MS = 1_000;
/** The waits before each try: at once after a dead connection, then as long as a restart takes. */
const RETRY_MS = [0, 0, 200, 800, 2_000];

/** Sends calls to one server. */
export class Transport {
  readonly #secure: boolean;
  readonly #name: string;
  readonly #port: string;
  readonly #prefix: string;
  readonly #agent: Agent;
  #lastUse = 0;

  constructor(
    readonly host: string,
    readonly headers: Readonly<Record<string, string>>,
    readonly timeoutSeconds: number | undefined,
  ) {
    const url = new URL(host);
    this.#secure = url.protocol === "https:";
    this.#name = url.hostname.replace(/^\[|\]$/g, "");
    this.#port = url.port || (this.#secure ? "443" : "80");
    this.#prefix = url.pathname.replace(/\/$/, "");
    this.#agent = new (this.#secure ? TlsAgent : Agent)({
      keepAlive: true,
      keepAliveMsecs: 15_000,
      maxFreeSockets: MOST_IDLE,
      scheduling: "lifo",
      timeout: LONGEST_IDLE_MS,
    });
  }

  /** Sends a call and answers as soon as status and headers are there. */
  async send(
    call: Call,
    extraHeaders: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
  ): Promise<Answer> {
    signal?.throwIfAborted();
    const headers = { ...this.headers, ...extraHeaders };
    if (call.contentType !== undefined) headers["Content-Type"] = call.contentType;
    if (call.idempotencyKey !== undefined) headers["Idempotency-Key"] = call.idempotencyKey;
    if (!call.repeatable && performance.now() - this.#lastUse > DOUBTFUL_MS) {
      await setImmediate(); // The event loop sees by then whether the server has closed.
    }
    const replayable = call.body === undefined || call.body instanceof Uint8Array;
    let lost: Failed | undefined;
    for (const wait of RETRY_MS) {
      if (wait > 0) await pause(wait, undefined, { signal, ref: true }).catch(rethrowAbort(signal));
      try {
        return await this.#try(call, headers, signal);
      } catch (failure) {
        if (!(failure instanceof Failed)) throw failure;
        const may = replayable && (call.repeatable || (failure.reused && !failure.sent));
        // A server that refused at the first try is not restarting: it is not there.
        if (!may || (lost === undefined && !failure.connected)) throw failure.explain(this.host);
        lost = failure;
        this.#dropIdle();
      } finally {
        this.#lastUse = performance.now();
      }
    }
    throw (lost as Failed).explain(this.host);
  }

  /** What is needed to open a WebSocket to this server. */
  upgrade(target: string, headers: Readonly<Record<string, string>>): ClientRequest {
    return (this.#secure ? httpsRequest : httpRequest)({
      agent: false,
      host: this.#name,
      port: this.#port,
      path: this.#prefix + target,
      headers,
      timeout: CONNECT_MS,
    });
  }

  /** Closes the idle connections. Calls that run go on, and later calls open new ones. */
  close(): void {
    this.#dropIdle();
  }

  #dropIdle(): void {
    for (const sockets of Object.values(this.#agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }

  #try(call: Call, headers: Record<string, string>, signal?: AbortSignal): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      const { body } = call;
      const framed = { ...headers };
      if (body instanceof Uint8Array) framed["Content-Length"] = String(body.length);
      else if (body !== undefined) framed["Transfer-Encoding"] = "chunked";
      else if (call.method === "POST" || call.method === "PUT") framed["Content-Length"] = "0";
      const request = (this.#secure ? httpsRequest : httpRequest)({
        agent: this.#agent,
        method: call.method,
        host: this.#name,
        port: this.#port,
        path: this.#prefix + call.target,
        headers: framed,
      });
      let connected = false;
      let settled = false;
      let waitsTooLong = false;
      const settle = (): boolean => {
        if (settled) return false;
        settled = true;
        return true;
      };
      const abort = (): void => {
        if (settle()) reject(signal?.reason as Error);
        request.destroy();
      };
      signal?.addEventListener("abort", abort, { once: true });
      request.once("socket", (socket) => {
        connected = request.reusedSocket || !socket.connecting;
        if (connected) return;
        const late = setTimeout(() => {
          request.destroy(new Error(`no connection within ${CONNECT_MS / 1000} s`));
        }, CONNECT_MS);
        socket.once(this.#secure ? "secureConnect" : "connect", () => {
          connected = true;
        });
        const end = (): void => clearTimeout(late);
        socket.once("connect", end);
        socket.once("close", end);
      });
      if (!call.patient && this.timeoutSeconds !== undefined) {
        request.setTimeout(this.timeoutSeconds * 1000, () => {
          waitsTooLong = true;
          request.destroy();
        });
      }
      request.once("response", (response) => {
        if (!settle()) return;
        resolve(
          new Answer(this.host, request, response, () => {
            signal?.removeEventListener("abort", abort);
            return waitsTooLong && this.timeoutSeconds !== undefined
              ? silent(this.host, this.timeoutSeconds)
              : undefined;
          }, signal),
        );
      });
      request.on("error", (cause) => {
        signal?.removeEventListener("abort", abort);
        if (!settle()) return;
        if (waitsTooLong && this.timeoutSeconds !== undefined) {
          reject(silent(this.host, this.timeoutSeconds));
        } else {
          reject(new Failed(cause, connected, request.reusedSocket, request.writableFinished));
        }
      });
      if (body === undefined || body instanceof Uint8Array) {
        request.end(body);
      } else {
        stream(request, body).catch((cause: unknown) => {
          // The caller's own iterator failed; the request must not look complete.
          if (settle()) reject(cause as Error);
          signal?.removeEventListener("abort", abort);
          request.destroy();
        });
      }
    });
  }
}

/** A connection that died before a byte of the answer came. */
class Failed extends Error {
  constructor(
    override readonly cause: Error,
    readonly connected: boolean,
    readonly reused: boolean,
    readonly sent: boolean,
  ) {
    super(cause.message);
  }

  explain(host: string): Error {
    if (!this.connected) return unreachable(host, this.cause);
    return this.sent ? unanswered(host, this.cause) : notSent(host, this.cause);
  }
}

/** An answer whose body is still to be read. Whoever has it reads it to the end or closes it. */
export class Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  #ended = false;
  #failure: unknown;
  #silence: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(
    readonly host: string,
    readonly request: ClientRequest,
    readonly response: IncomingMessage,
    readonly over: () => Error | undefined,
    readonly signal: AbortSignal | undefined,
  ) {
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    response.on("readable", () => this.#wake?.());
    response.on("end", () => this.#finish(undefined));
    response.on("error", (cause) => this.#finish(cause));
    response.on("close", () => this.#finish(new Error("it was closed in the middle")));
  }

  /** From now on a longer silence is a `TimeoutError`. */
  expectWithin(seconds: number): void {
    this.request.setTimeout(seconds * 1000, () => {
      this.#silence = silent(this.host, seconds);
      this.request.destroy();
    });
  }

  /** What has arrived, waiting for at least one byte; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    while (true) {
      const data = this.response.read() as Uint8Array | null;
      if (data !== null) return data;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return undefined;
      await new Promise<void>((wake) => (this.#wake = wake));
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (let data; (data = await this.next()) !== undefined; ) yield data;
    } finally {
      this.close();
    }
  }

  /** The rest of the body, or its first `limit` bytes and some more. */
  async read(limit = Infinity): Promise<Buffer> {
    const pieces = [];
    let size = 0;
    for (let data; size < limit && (data = await this.next()) !== undefined; ) {
      pieces.push(data);
      size += data.length;
    }
    this.close();
    return pieces.length === 1 ? Buffer.from(pieces[0] as Uint8Array) : Buffer.concat(pieces);
  }

  /** Reads what must still come after the last byte of interest, so that the connection is kept. */
  async finish(): Promise<void> {
    const late = setTimeout(() => this.response.destroy(), TAIL_MS);
    try {
      while ((await this.next()) !== undefined);
    } catch {
      // The answer is complete as far as anybody cares.
    } finally {
      clearTimeout(late);
    }
  }

  /** Ends the connection, unless the body was read to its end. */
  close(): void {
    if (!this.#ended) this.response.destroy();
  }

  #finish(cause: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.request.writableEnded) this.request.destroy(); // The server waits for the rest of it.
    const silence = this.over() ?? this.#silence;
    if (cause !== undefined) {
      this.#failure = this.signal?.aborted
        ? this.signal.reason
        : (silence ?? cutOff(this.host, cause));
    }
    this.#wake?.();
  }
}

async function stream(request: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  let stopped = false;
  let wake: (() => void) | undefined;
  const stop = (): void => {
    stopped = true;
    wake?.();
  };
  request.once("response", stop); // A refusal: sending on would be useless.
  request.once("close", stop);
  request.on("drain", () => wake?.());
  for await (const chunk of body) {
    if (stopped) break;
    if (chunk.length > 0 && !request.write(chunk)) {
      await new Promise<void>((ready) => (wake = ready));
      wake = undefined;
    }
    if (stopped) break;
  }
  if (!stopped) request.end();
}

function rethrowAbort(signal: AbortSignal | undefined): (error: unknown) => never {
  return (error) => {
    throw signal?.aborted ? signal.reason : error;
  };
}
