/** A configured connection to one server, shared by any number of sandboxes. */

import process from "node:process";

import { VERSION } from "./calls.js";
import type { Call } from "./calls.js";
import { howToGetAKey, resolve } from "./config.js";
import type { Settings } from "./config.js";
import { ServerError, errorFromAnswer } from "./errors.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import { Transport } from "./transport.js";
import type { Answer } from "./transport.js";

const DEFAULT_TIMEOUT_SECONDS = 120;
const LONGEST_ERROR = 64 * 1024;
const LONGEST_JSON = 64 * 1024 * 1024;
const MOST_SHARED = 32;

export interface ClientOptions {
  /** The server's address; else `PODFLARE_HOSTD_URL`, else the credentials file, else port 7070. */
  host?: string | undefined;
  /** Else `PODFLARE_API_KEY`, else the credentials file. */
  apiKey?: string | undefined;
  /** A W3C trace context sent with each call; else `PODFLARE_TRACEPARENT`. */
  traceparent?: string | undefined;
  /**
   * How many seconds the server may stay silent before a `TimeoutError`, 120 by default; null for
   * ever. Running code may always be silent: `runCode` has a time-out of its own.
   */
  timeoutSeconds?: number | null | undefined;
}

const CLIENT_OPTIONS: Names<ClientOptions> = {
  host: true,
  apiKey: true,
  traceparent: true,
  timeoutSeconds: true,
};

/** Which server a call without a sandbox goes to. */
export interface ServerOptions {
  host?: string | undefined;
  apiKey?: string | undefined;
  /** A client to share, in place of host and apiKey. */
  client?: Client | undefined;
}

/** What any single call takes. */
export interface CallOptions {
  /** Ends the call; it then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** A W3C trace context for this call. */
  traceparent?: string | undefined;
}

/** Their names, for the calls that take more than these. */
export const SERVER_OPTIONS: Names<ServerOptions> = { host: true, apiKey: true, client: true };
export const CALL_OPTIONS: Names<CallOptions> = { signal: true, traceparent: true };

/**
 * Where the server is, the key, and the kept-alive connections. Sandboxes with the same
 * configuration share a client without being told; make one to set something for all of its own.
 */
export class Client {
  readonly #settings: Settings;
  readonly #transport: Transport;

  /** Looks up the configuration; connects at the first call. */
  constructor(options: ClientOptions = {}) {
    refuseUnknown("Client", options, CLIENT_OPTIONS);
    this.#settings = resolve(options);
    const seconds = options.timeoutSeconds;
    this.#transport = new Transport(
      this.#settings.host,
      requestHeaders(this.#settings),
      seconds === undefined ? DEFAULT_TIMEOUT_SECONDS : (seconds ?? undefined),
    );
  }

  /** The server's address. */
  get host(): string {
    return this.#settings.host;
  }

  /** @internal */
  get settings(): Settings {
    return this.#settings;
  }

  /** @internal */
  get transport(): Transport {
    return this.#transport;
  }

  /** Closes the idle connections. Sandboxes are not closed, and may even go on. */
  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Sends a call whose answer's body the caller reads; throws what the server refuses.
   * @internal
   */
  async send(call: Call, options: CallOptions = {}): Promise<Answer> {
    const extra: Record<string, string> = {};
    if (options.traceparent !== undefined) extra["traceparent"] = options.traceparent;
    const answer = await this.#transport.send(call, extra, options.signal);
    if (answer.status >= 200 && answer.status < 300) return answer;
    const body = await answer.read(LONGEST_ERROR);
    let more = "";
    if (answer.status === 401) {
      more =
        this.#settings.apiKey === undefined
          ? howToGetAKey()
          : `the key that was sent comes from ${this.#settings.keySource}`;
    }
    throw errorFromAnswer(answer.status, answer.headers, body.toString("utf8"), more);
  }

  /**
   * Sends a call and answers its JSON object; empty for an answer without a body.
   * @internal
   */
  async json(call: Call, options: CallOptions = {}): Promise<Record<string, unknown>> {
    const answer = await this.send(call, options);
    const body = await answer.read(LONGEST_JSON);
    if (body.length === 0) return {};
    const text = body.toString("utf8");
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      const start = text.slice(0, 200);
      throw new ServerError(`the answer is not JSON: ${start}`, { code: "bad_answer", cause });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw badAnswer(`the answer is no JSON object: ${text.slice(0, 200)}`);
    }
    return value as Record<string, unknown>;
  }
}

const shared = new Map<string, Client>();

/**
 * The client that is given, or the one for this configuration that all sandboxes of the process
 * use. The environment and the credentials file are read anew each time, so a changed one counts.
 */
export function clientFor(options: ServerOptions): Client {
  if (options.client !== undefined) return options.client;
  // By name: what else the call takes, such as a time limit of its own, is no setting of a client.
  const given: ClientOptions = { host: options.host, apiKey: options.apiKey };
  const settings = resolve(given);
  const key = JSON.stringify([settings.host, settings.apiKey, settings.traceparent]);
  let client = shared.get(key);
  if (client === undefined) {
    if (shared.size >= MOST_SHARED) {
      // A program that changes its configuration all the time.
      for (const one of shared.values()) one.close();
      shared.clear();
    }
    client = new Client(given);
    shared.set(key, client);
  }
  return client;
}

/** An answer that is none of a Podflare server. */
export function badAnswer(sentence: string): ServerError {
  return new ServerError(sentence, {
    code: "bad_answer",
    hint: "is this the address of a Podflare server?",
  });
}

function requestHeaders(settings: Settings): Record<string, string> {
  const { bun, deno, node } = process.versions as Record<string, string | undefined>;
  const runtime = deno ? `deno/${deno}` : bun ? `bun/${bun}` : `node/${node}`;
  const headers: Record<string, string> = {
    "Accept-Encoding": "identity",
    "User-Agent": `podflare-typescript/${VERSION} ${runtime}`,
  };
  if (settings.apiKey !== undefined) headers["Authorization"] = `Bearer ${settings.apiKey}`;
  if (settings.traceparent !== undefined) headers["traceparent"] = settings.traceparent;
  return headers;
}
