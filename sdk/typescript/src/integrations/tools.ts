/**
 * What all adapters share: how a result is told to a model, and how an error is: what happened,
 * why, and what to try.
 */

import {
  AuthenticationError,
  CapacityError,
  ConflictError,
  ConnectionError,
  InvalidRequestError,
  NotFoundError,
  PodflareError,
  QuotaError,
  ServerError,
  TimeoutError,
} from "../errors.js";
import type { ExecResult } from "../results.js";
import { Sandbox } from "../sandbox.js";
import type { SandboxOptions } from "../sandbox.js";

/** How much of an outcome a model is told. */
export interface Limits {
  /** Of stdout, stderr, a shown value or a file, each; the middle is left out. 30,000 by default. */
  maxCharacters?: number | undefined;
  /** Images that are passed on; 5 by default. */
  maxImages?: number | undefined;
}

/** What every tool call of a model takes. */
export interface ToolOptions extends Limits {
  /** Seconds after which the code is interrupted, which keeps its variables. */
  timeoutSeconds?: number | undefined;
  /** Interrupts the code. */
  signal?: AbortSignal | undefined;
}

/** A tool call that a model got wrong, in a sentence that it can act on. */
export class ToolError extends Error {
  constructor(what: string, why: string, attempt: string) {
    super(told(what, why, attempt));
  }
}

/** An image in a result: its type, and base64. */
export interface Image {
  mediaType: "image/png" | "image/jpeg" | "image/gif" | "image/webp";
  data: string;
}

const DEFAULT_CHARACTERS = 30_000;
const DEFAULT_IMAGES = 5;
// What the providers take of one image, in base64.
const LARGEST_IMAGE = 5_000_000;
const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"] as const;

export const DESCRIPTION_PYTHON =
  "Runs Python code in a sandbox of its own and answers stdout, stderr and the value of the last " +
  "expression. It is one process that stays alive: variables, imports, open files and the working " +
  "directory stay between calls. A line that begins with `!` runs in bash, and `%pip install` " +
  "works if there is internet. Figures of matplotlib are shown. Files live under /root.";
export const DESCRIPTION_BASH =
  "Runs a bash script in the sandbox, in the same file system as the Python process, and answers " +
  "stdout, stderr and the exit code. Each call is a fresh shell that begins in /root: variables " +
  "and `cd` do not stay, files do.";

/** The JSON Schema of a tool that takes one text. */
export function inputOf(name: string, description: string) {
  return {
    type: "object" as const,
    properties: { [name]: { type: "string" as const, description } },
    required: [name],
    additionalProperties: false as const,
  };
}

/** Text of at most so many characters: what is too much is left out of its middle, and said. */
export function cutMiddle(text: string, limit: number = DEFAULT_CHARACTERS): string {
  if (text.length <= limit) return text;
  const head = whole(text, Math.ceil(limit / 2));
  const tail = whole(text, text.length - Math.floor(limit / 2));
  return (
    text.slice(0, head) +
    `\n[… ${tail - head} characters left out here; write long output to a file and read parts of it …]\n` +
    text.slice(tail)
  );
}

/** Stderr, and what a model must know of how the code ended. */
export function stderrOf(result: ExecResult, options: ToolOptions = {}): string {
  let text = cutMiddle(result.stderr, options.maxCharacters);
  if (result.reason === "timeout") {
    const limit = options.timeoutSeconds === undefined ? "" : ` after ${options.timeoutSeconds} s`;
    text += `\n[stopped${limit}: it took too long. Do it in smaller steps]`;
  } else if (result.reason === "oom") {
    text += "\n[ended: the sandbox's memory is used up. Use less data at a time]";
  } else if (result.reason === "interrupted") {
    text += "\n[interrupted from outside]";
  }
  if (!result.stateKept) {
    // Else the model would go on using variables that no longer exist.
    text += "\n[the Python process ended: its variables and imports are gone]";
  }
  return text;
}

/** The images that were shown, and a line for each one that can't be passed on. */
export function imagesOf(result: ExecResult, options: Limits = {}): { images: Image[]; notes: string[] } {
  const images: Image[] = [];
  const notes: string[] = [];
  let more = 0;
  for (const shown of result.results) {
    const mediaType = IMAGE_TYPES.find((type) => typeof shown[type] === "string");
    if (mediaType === undefined) continue;
    const data = (shown[mediaType] as string).replace(/\s/g, "");
    if (data.length > LARGEST_IMAGE) {
      notes.push(`[an image of ${data.length} characters is too large to be shown; make it smaller]`);
    } else if (images.length < (options.maxImages ?? DEFAULT_IMAGES)) {
      images.push({ mediaType, data });
    } else {
      more++;
    }
  }
  if (more > 0) notes.push(`[${more} more images are not shown; show fewer at a time]`);
  return { images, notes };
}

/** The value of the last expression, as text, unless it is an image that is passed on anyway. */
export function valueOf(result: ExecResult, options: Limits = {}): string | undefined {
  const shown = result.result;
  if (shown === null || IMAGE_TYPES.some((type) => type in shown)) return undefined;
  const text = shown["text/plain"];
  return text === undefined ? undefined : cutMiddle(text, options.maxCharacters);
}

/** A result as one text: stdout, stderr, the value, and the exit code if it is not 0. */
export function textOf(result: ExecResult, options: ToolOptions = {}): string {
  const parts = [cutMiddle(result.stdout, options.maxCharacters)];
  const stderr = stderrOf(result, options);
  if (stderr !== "") parts.push(`stderr:\n${stderr}`);
  const value = valueOf(result, options);
  if (value !== undefined) parts.push(value);
  parts.push(...imagesOf(result, options).notes);
  if (result.exitCode !== 0) parts.push(`exit_code: ${result.exitCode}`);
  return parts.filter((part) => part !== "").join("\n") || "(no output)";
}

interface Explanation {
  why: string;
  attempt: string;
}

const GONE: Explanation = {
  why: "it was closed, was idle for too long, or its machine ended; what was in it is lost",
  attempt: "say so; with a new sandbox, begin from nothing",
};
const WRONG_KIND: Explanation = {
  why: "the path names another kind of thing than this call takes",
  attempt: "list the directory above it to see what is there",
};

/** By the server's code: what a model can do with it. The table in docs/typescript.md is this. */
export const BY_CODE: Readonly<Record<string, Explanation>> = {
  sandbox_not_found: GONE,
  sandbox_lost: GONE,
  file_not_found: {
    why: "the path is wrong, or the file has not been made yet",
    attempt: "list the directory to see what is there",
  },
  is_a_directory: WRONG_KIND,
  not_a_directory: WRONG_KIND,
  not_a_file: WRONG_KIND,
  permission_denied: {
    why: "the sandbox does not allow that on this path",
    attempt: "use a path under /root or /tmp",
  },
  disk_full: {
    why: "the sandbox's disk has no room for it",
    attempt: "remove files that are not needed any more",
  },
  too_large: { why: "it is more than one call takes", attempt: "write it to a file in parts" },
  body_too_large: { why: "it is more than one call takes", attempt: "write it to a file in parts" },
  sandbox_busy: {
    why: "code runs in the sandbox and did not end in time",
    attempt: "wait for it, or stop it",
  },
  outcome_unknown: {
    why: "the connection broke after the request was sent: it may have run, run now, or never run",
    attempt: "look at what it should have changed before doing it again",
  },
};

const BY_CLASS: readonly [abstract new (...given: never[]) => PodflareError, Explanation][] = [
  [NotFoundError, { why: "there is no such thing, or not any more", attempt: "use another name" }],
  [QuotaError, { why: "the quota of this key is used up", attempt: "say so; try later" }],
  [CapacityError, { why: "the host has no room now", attempt: "say so; try later" }],
  [AuthenticationError, { why: "the server did not accept the key", attempt: "say so: only a person can mend it" }],
  [ConflictError, { why: "the sandbox's state does not allow it now", attempt: "try again after what runs has ended" }],
  [InvalidRequestError, { why: "the server does not accept this input", attempt: "change the input" }],
  [TimeoutError, { why: "the server did not answer in time", attempt: "try once more, then say so" }],
  [ConnectionError, { why: "the server can't be reached", attempt: "try once more, then say so" }],
  [ServerError, { why: "something failed in the server", attempt: "try once more, then say so" }],
];

/** An error as a model is told it, or undefined if it is none that a model can do anything with. */
export function errorForModel(error: unknown): string | undefined {
  if (error instanceof ToolError) return error.message;
  if (!(error instanceof PodflareError)) return undefined;
  const known =
    BY_CODE[error.code ?? ""] ?? BY_CLASS.find(([kind]) => error instanceof kind)?.[1];
  return told(
    error.message,
    known?.why ?? "the sandbox did not do it",
    known?.attempt ?? "try once more, then say so",
  );
}

/** The sandbox that is given, opened, or one that is made at the first call. */
export class SandboxSource {
  #sandbox: Promise<Sandbox> | undefined;

  constructor(
    readonly given: Sandbox | undefined,
    readonly options: SandboxOptions = {},
  ) {}

  /** The sandbox, ready. */
  async get(): Promise<Sandbox> {
    this.#sandbox ??= (this.given ?? new Sandbox(this.options)).open().catch((error: unknown) => {
      this.#sandbox = undefined;
      throw error;
    });
    return this.#sandbox;
  }
}

/** Runs the Python that a model wrote, and answers one text for it, whatever happened. */
export async function runForModel(
  source: SandboxSource,
  code: unknown,
  options: ToolOptions,
): Promise<string> {
  try {
    if (typeof code !== "string") throw missing("code");
    const sandbox = await source.get();
    const { timeoutSeconds, signal } = options;
    return textOf(await sandbox.runCode(code, { timeoutSeconds, signal }), options);
  } catch (error) {
    const text = errorForModel(error);
    if (text === undefined) throw error;
    return text;
  }
}

/** The input lacks a text. */
export function missing(name: string): ToolError {
  return new ToolError(`the input has no ${name}`, `it must have "${name}", a string`, "call it again with that");
}

function told(what: string, why: string, attempt: string): string {
  return `error: ${what}\nwhy: ${why}\ntry: ${attempt}`;
}

/** The index, or the one before if it would cut a character in two. */
function whole(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at - 1 : at;
}
