/** What to tell a person when the network fails, in the same words everywhere. */

import { ConnectionError, TimeoutError } from "./errors.js";

/** The server takes no connection. */
export function unreachable(host: string, cause: unknown): ConnectionError {
  return new ConnectionError(`can't reach the Podflare server at ${host}: ${reasonOf(cause)}`, {
    code: "unreachable",
    hint: "start it with `./podflare up` on its machine, or set PODFLARE_HOSTD_URL",
    cause,
  });
}

/** The connection broke before the whole request was out, so nothing was carried out. */
export function notSent(host: string, cause: unknown): ConnectionError {
  return new ConnectionError(
    `the connection to ${host} broke while the request was sent: ${reasonOf(cause)}`,
    { code: "not_sent", hint: "the server did not carry it out; try again", cause },
  );
}

/** The request was out, and no answer came. */
export function unanswered(host: string, cause: unknown): ConnectionError {
  return new ConnectionError(
    `the connection to ${host} broke before the answer: ${reasonOf(cause)}; ` +
      "whether the request was carried out is unknown",
    { code: "outcome_unknown", hint: "check the sandbox before sending it again", cause },
  );
}

/** The events of an exec end before its exit event. */
export function outcomeUnknown(cause: unknown): ConnectionError {
  return new ConnectionError(
    `the connection broke while the code ran: ${reasonOf(cause)}; ` +
      "the outcome of the exec is unknown",
    {
      code: "outcome_unknown",
      hint:
        "the code may still be running or have finished; " +
        "check the sandbox's state before running it again",
      cause,
    },
  );
}

/** Somebody closed what this call stands on. */
export function closedMeanwhile(what: string): ConnectionError {
  return new ConnectionError(`${what} was closed while this call waited for it`, {
    code: "closed",
    hint: "close it after its calls have ended, or take this as their end",
  });
}

/** The answer ends in the middle. */
export function cutOff(host: string, cause: unknown): ConnectionError {
  return new ConnectionError(`the answer of ${host} is cut off: ${reasonOf(cause)}`, {
    code: "cut_off",
    hint: "the connection or the server died; try again",
    cause,
  });
}

/** The server did nothing for as long as the client waits. */
export function silent(host: string, seconds: number): TimeoutError {
  return new TimeoutError(`${host} did not answer for ${seconds} s`, {
    code: "no_answer",
    hint: "see whether the server is overloaded, or give the client a longer timeoutSeconds",
  });
}

/** The shortest true thing to say of a cause. */
export function reasonOf(cause: unknown): string {
  if (typeof cause === "string") return cause;
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  const { code, message } = cause as { code?: unknown; message?: unknown };
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ECONNRESET") return "connection reset by peer";
  return typeof message === "string" && message !== "" ? message : String(code ?? cause);
}
