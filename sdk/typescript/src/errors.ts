/**
 * What can go wrong, as exceptions.
 *
 * All of them are a `PodflareError`. An error that the server sent carries its HTTP `status`, its
 * `code` (snake_case, stable, for programs), its `hint` (what to do next, for people) and the
 * `requestId` under which the server's log has it.
 */

const LONGEST_FOREIGN_TEXT = 500;

/** What is known of an error beside its sentence. */
export interface ErrorFacts {
  status?: number | undefined;
  code?: string | undefined;
  hint?: string | undefined;
  requestId?: string | undefined;
  retryAfter?: number | undefined;
  cause?: unknown;
}

/**
 * Everything that this package throws on purpose. `message` says what happened, and behind it, in
 * brackets, what to do next.
 */
export class PodflareError extends Error {
  /** What happened: `message` without the hint. */
  readonly sentence: string;
  /** The HTTP status, or undefined when the server did not answer. */
  readonly status: number | undefined;
  /** A stable snake_case word for programs. */
  readonly code: string | undefined;
  /** What to do next. */
  readonly hint: string | undefined;
  /** The server's id of this request. */
  readonly requestId: string | undefined;
  /** Seconds to wait before trying again, when the server named them. */
  readonly retryAfter: number | undefined;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(
      facts.hint ? `${message} (${facts.hint})` : message,
      facts.cause === undefined ? undefined : { cause: facts.cause },
    );
    this.sentence = message;
    this.name = new.target.name;
    this.status = facts.status;
    this.code = facts.code;
    this.hint = facts.hint;
    this.requestId = facts.requestId;
    this.retryAfter = facts.retryAfter;
  }

  override toString(): string {
    const text = `${this.name}: ${this.message}`;
    const facts = [];
    if (this.status !== undefined) facts.push(`HTTP ${this.status}`);
    if (this.requestId) facts.push(`request ${this.requestId}`);
    return facts.length > 0 ? `${text} [${facts.join(", ")}]` : text;
  }
}

/** No key, a wrong key (401), or a key that may not do this (403). */
export class AuthenticationError extends PodflareError {}

/** No such sandbox, file, Space or exec, or it belongs to another key (404). */
export class NotFoundError extends PodflareError {}

/** The request makes no sense: a bad argument, a file too large (400, 413, 422 and the like). */
export class InvalidRequestError extends PodflareError {}

/** The sandbox is in a state that does not allow this (409). */
export class ConflictError extends PodflareError {}

/** A file that was changed on both sides of a merge. */
export interface MergeConflict {
  path: string;
  parent: "added" | "modified" | "removed";
  winner: "added" | "modified" | "removed";
}

/** Files were changed on both sides of a merge, so nothing was applied. */
export class MergeConflictError extends ConflictError {
  readonly conflicts: MergeConflict[];

  constructor(message: string, facts: ErrorFacts, conflicts: MergeConflict[]) {
    super(message, facts);
    this.conflicts = conflicts;
  }
}

/** This key has used up its share (429); `retryAfter` says when to come back. */
export class QuotaError extends PodflareError {}

/** This host has no room for another sandbox now (503). */
export class CapacityError extends PodflareError {}

/** The server failed (5xx), or what came back is not an answer of a Podflare server. */
export class ServerError extends PodflareError {}

/**
 * The server can't be reached, or the connection broke. With the code `outcome_unknown` the
 * request had been sent: it may or may not have been carried out.
 */
export class ConnectionError extends PodflareError {}

/**
 * The server stayed silent for longer than the client waits. Never thrown for code that runs too
 * long: that ends with an exit of reason `timeout`.
 */
export class TimeoutError extends PodflareError {}

const BY_STATUS: Record<number, new (message: string, facts: ErrorFacts) => PodflareError> = {
  401: AuthenticationError,
  403: AuthenticationError,
  404: NotFoundError,
  409: ConflictError,
  429: QuotaError,
  503: CapacityError,
};

/**
 * The exception for an answer that is no success; the body may be anything, even empty.
 * @internal
 */
export function errorFromAnswer(
  status: number,
  headers: Record<string, unknown>,
  body: string,
  moreHint = "",
): PodflareError {
  const fields = fieldsOf(body);
  const foreign = body.split(/\s+/).join(" ").trim().slice(0, LONGEST_FOREIGN_TEXT);
  const message =
    text(fields["error"]) ?? (foreign || `the server answered HTTP ${status} without saying why`);
  const facts: ErrorFacts = {
    status,
    code: text(fields["code"]),
    hint: [text(fields["hint"]), moreHint].filter(Boolean).join("; ") || undefined,
    requestId: text(headers["x-request-id"]),
    retryAfter: seconds(headers["retry-after"]),
  };
  if (status === 409 && Array.isArray(fields["conflicts"])) {
    return new MergeConflictError(message, facts, fields["conflicts"] as MergeConflict[]);
  }
  const kind = BY_STATUS[status];
  if (kind !== undefined) return new kind(message, facts);
  if (status >= 400 && status < 500) return new InvalidRequestError(message, facts);
  return new ServerError(message, facts);
}

function fieldsOf(body: string): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(body);
    return typeof fields === "object" && fields !== null ? (fields as Record<string, unknown>) : {};
  } catch {
    return {}; // A proxy's HTML page, or half a body: the caller keeps its text.
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function seconds(value: unknown): number | undefined {
  // Retry-After may also be a date, but no Podflare server sends one.
  return typeof value === "string" && /^[0-9]{1,9}$/.test(value) ? Number(value) : undefined;
}
