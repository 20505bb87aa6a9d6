/**
 * From the bytes of an exec's answer to its events, and from the events to one result.
 * Neither class reads or waits.
 */

import { ServerError } from "./errors.js";
import { outcomeUnknown } from "./failures.js";
import type {
  Event,
  ExecError,
  ExecResult,
  ExitEvent,
  ExitReason,
  Gap,
  Shown,
} from "./results.js";

// A line is one event, of at most 2 MiB from a sound server; this bounds what a broken one can do.
const LONGEST_LINE = 64 * 1024 * 1024;
const NEWLINE = 10;

/** Callbacks for what is shown while code runs. What they throw ends the call. */
export interface Listeners {
  onStdout?: ((text: string) => unknown) | undefined;
  onStderr?: ((text: string) => unknown) | undefined;
  onResult?: ((shown: Shown) => unknown) | undefined;
}

/**
 * Cuts NDJSON into events, whatever the pieces are that it arrives in. Lines are decoded whole, so
 * a multi-byte character is never split. Types that this version does not know are left out.
 */
export class EventDecoder {
  /** The exit event has been seen: nothing of interest follows. */
  finished = false;
  #partial: Uint8Array[] = [];
  #partialSize = 0;

  feed(data: Uint8Array): Event[] {
    const events: Event[] = [];
    let start = 0;
    for (let end; (end = data.indexOf(NEWLINE, start)) !== -1; start = end + 1) {
      let line = data.subarray(start, end);
      if (this.#partialSize > 0) {
        line = Buffer.concat([...this.#partial, line]);
        this.#partial = [];
        this.#partialSize = 0;
      }
      if (this.finished || line.length === 0) continue;
      const event = eventOf(line);
      if (event === undefined) continue;
      this.finished = event.type === "exit";
      events.push(event);
    }
    if (start < data.length) {
      this.#partial.push(data.subarray(start));
      this.#partialSize += data.length - start;
      if (this.#partialSize > LONGEST_LINE) {
        throw new ServerError("the server sent an event of more than 64 MiB");
      }
    }
    return events;
  }
}

/** Gathers the events of one exec into its `ExecResult`. */
export class Transcript {
  readonly #stdout: string[] = [];
  readonly #stderr: string[] = [];
  readonly #results: Shown[] = [];
  readonly #gaps: Gap[] = [];
  #error: ExecError | null = null;
  #exit: ExitEvent | undefined;

  add(event: Event): void {
    switch (event.type) {
      case "stdout":
        this.#stdout.push(event.data);
        break;
      case "stderr":
        this.#stderr.push(event.data);
        break;
      case "result":
        this.#results.push(event.data);
        break;
      case "error":
        this.#error = event.data;
        break;
      case "gap":
        this.#gaps.push(event.data);
        break;
      case "exit":
        this.#exit = event;
    }
  }

  result(): ExecResult {
    const end = this.#exit;
    if (end === undefined) throw outcomeUnknown("the answer has no exit event");
    return {
      stdout: this.#stdout.join(""),
      stderr: this.#stderr.join(""),
      exitCode: end.code,
      result: this.#results.at(-1) ?? null,
      text: this.#results.at(-1)?.["text/plain"] ?? null,
      results: this.#results,
      error: this.#error,
      reason: end.reason,
      stateKept: end.stateKept !== false, // A server that says nothing about it keeps the state.
      durationMs: end.durationMs,
      gaps: this.#gaps,
    };
  }
}

/** Tells the listener that wants this event, and waits for it if it is asynchronous. */
export async function tell(event: Event, listeners: Listeners): Promise<void> {
  if (event.type === "stdout") await listeners.onStdout?.(event.data);
  else if (event.type === "stderr") await listeners.onStderr?.(event.data);
  else if (event.type === "result") await listeners.onResult?.(event.data);
}

function eventOf(line: Uint8Array): Event | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.length).toString("utf8");
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    if (text.trim() === "") return undefined;
    throw new ServerError(`the server sent an event that is not JSON: ${text.slice(0, 200)}`, { cause });
  }
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw new ServerError(`the server sent an event that is no JSON object: ${text.slice(0, 200)}`);
  }
  const { type, data } = fields;
  const seq = typeof fields["seq"] === "number" ? fields["seq"] : 0;
  const ts = typeof fields["ts"] === "number" ? fields["ts"] : 0;
  const isObject = typeof data === "object" && data !== null && !Array.isArray(data);
  switch (type) {
    case "stdout":
    case "stderr":
      if (typeof data === "string") return { type, data, seq, ts };
      break;
    case "result":
      if (isObject) return { type, data: data as Shown, seq, ts };
      break;
    case "error":
      if (isObject) return { type, data: data as ExecError, seq, ts };
      break;
    case "waiting":
      if (isObject) return { type, data: data as { behind: string | null }, seq, ts };
      break;
    case "gap":
      if (isObject) return { type, data: data as Gap, seq, ts };
      break;
    case "exit":
      if (typeof data === "number") {
        return {
          type,
          data,
          seq,
          ts,
          code: data,
          reason: (fields["reason"] as ExitReason | undefined) ?? undefined,
          stateKept: (fields["state_kept"] as boolean | undefined) ?? undefined,
          durationMs: (fields["duration_ms"] as number | undefined) ?? undefined,
        };
      }
      break;
    default:
      return undefined;
  }
  throw new ServerError(`the server sent a malformed ${type} event: ${text.slice(0, 200)}`);
}
