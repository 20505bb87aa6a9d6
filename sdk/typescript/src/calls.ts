/** The REST calls as values: what to send, not how. */

import { randomUUID } from "node:crypto";

import type { Body } from "./bodies.js";
import { InvalidRequestError } from "./errors.js";

export const VERSION = "0.1.0";
const PAGE = 100;

/** One HTTP request. */
export interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Path and query, percent-encoded. */
  target: string;
  body?: Body | undefined;
  contentType?: string | undefined;
  /**
   * Whether sending it twice is the same as sending it once. Only such a call is sent again when
   * the connection dies after the request was out.
   */
  repeatable?: boolean | undefined;
  /** Whether the answer may rightly stay silent for as long as it likes. */
  patient?: boolean | undefined;
  /** Makes a call that creates something repeatable: the server does it once for each key. */
  idempotencyKey?: string | undefined;
}

export function post(
  target: string,
  fields: Record<string, unknown>,
  more: Partial<Call> = {},
): Call {
  const asked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined) asked[name] = value;
  }
  let text;
  try {
    text = JSON.stringify(asked, finite);
  } catch (error) {
    throw new InvalidRequestError(
      `an argument can't be sent as JSON: ${error instanceof Error ? error.message : error}`,
      { code: "invalid_argument", cause: error },
    );
  }
  const body = new TextEncoder().encode(text);
  return { method: "POST", target, body, contentType: "application/json", ...more };
}

export function get(target: string, more: Partial<Call> = {}): Call {
  return { method: "GET", target, repeatable: true, ...more };
}

/** A POST that makes something, and can be repeated because the server knows it by its key. */
export function makeOnce(
  target: string,
  fields: Record<string, unknown>,
  idempotencyKey: string = randomUUID(),
): Call {
  if (!/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) {
    throw new InvalidRequestError("an idempotency key is 1 to 255 visible ASCII characters", {
      code: "invalid_idempotency_key",
      hint: "leave it out, and each call has one of its own",
    });
  }
  return post(target, fields, { idempotencyKey, repeatable: true });
}

export function listSandboxes(
  filter: { template?: string; state?: string; metadata?: Record<string, string> },
  cursor: string | undefined,
): Call {
  const marks = Object.entries(filter.metadata ?? {});
  return get(
    "/v1/sandboxes" +
      query([
        ["limit", String(PAGE)],
        ["cursor", cursor],
        ["template", filter.template],
        ["state", filter.state],
        ...marks.map(([key, value]): [string, string] => [`metadata.${key}`, value]),
      ]),
  );
}

export function sandbox(id: string, rest = ""): string {
  return `/v1/sandboxes/${part(id)}${rest}`;
}

export function space(id: string, rest = ""): string {
  return `/v1/spaces/${part(id)}${rest}`;
}

/** An id as one segment of a path. */
export function part(id: string): string {
  // A segment of dots only would be taken for a directory by whatever stands in between.
  return encode(id).replaceAll("/", "%2F").replaceAll(".", "%2E");
}

export function query(fields: [string, string | undefined][]): string {
  const given = fields.filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return "?" + given.map(([name, value]) => `${encode(name)}=${encode(value as string)}`).join("&");
}

/** A path in the sandbox, as a query. */
export function pathQuery(path: string, more: [string, string | undefined][] = []): string {
  if (typeof path !== "string" || path === "") {
    throw new InvalidRequestError("a path in the sandbox is a string that is not empty", {
      code: "invalid_path",
    });
  }
  return query([["path", path], ...more]);
}

function encode(text: string): string {
  try {
    return encodeURIComponent(text).replaceAll("%2F", "/");
  } catch (error) {
    throw new InvalidRequestError("an argument has half of a surrogate pair, which is no character", {
      code: "invalid_argument",
      cause: error,
    });
  }
}

function finite(_: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new TypeError(`${value} is no number of JSON`);
  }
  return value;
}
