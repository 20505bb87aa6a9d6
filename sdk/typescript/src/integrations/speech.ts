/**
 * What a tool tells a model: the outcome of code, and what went wrong in a way it can act on.
 *
 * Every failure says what happened, why, and what to try. docs/errors-for-models.md is the table of
 * all of them, and a test compares it with what stands here.
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
import type { ExecResult, ExitReason, Shown } from "../results.js";

/** How much of an outcome a model is told. */
export interface Limits {
  /** Of one answer; what is above it is left out in the middle. 30,000 by default. */
  maxCharacters?: number | undefined;
  /** Images that are passed on; 8 by default. */
  maxImages?: number | undefined;
}

/** An image in a result: its type, and base64. */
export interface Image {
  mediaType: MediaType;
  data: string;
}

export type MediaType = "image/png" | "image/jpeg" | "image/gif" | "image/webp";

/** What a model is told: text, never empty, and pictures. */
export interface Told {
  text: string;
  failed: boolean;
  images: Image[];
}

/** What the model did wrong, in sentences that it can act on. */
export class Misuse extends Error {}

// Some 10,000 tokens, of which a model's window holds a few dozen.
export const CHARACTERS = 30_000;
const IMAGES = 8;
// Characters of base64; the providers take no larger ones.
const LARGEST_IMAGE = 5_000_000;
// Characters of base64 that hold the longest signature.
const HEAD = 12;
const SIGNATURES: readonly (readonly [MediaType, readonly string[]])[] = [
  ["image/png", ["\x89PNG\r\n\x1a\n"]],
  ["image/jpeg", ["\xff\xd8\xff"]],
  ["image/gif", ["GIF87a", "GIF89a"]],
  ["image/webp", ["RIFF"]],
];

export const SILENT = "(it ran to its end and printed nothing)";
export const STATE_LOST =
  "[the Python process ended: its variables and imports are gone, files are still there. " +
  "Import and define again what you need]";
export const QUEUED =
  "[not run: its time limit passed while it waited for other code of this sandbox. " +
  "Wait until that has ended, then call again]";
export const UNSEEN =
  "[what was drawn can't be shown to you here. Print the numbers that matter]";

/** By the reason of an exit. */
export const REASONS: Readonly<Partial<Record<ExitReason, string>>> = {
  timeout:
    "[stopped at its time limit; what it did so far is kept. Do less at once, " +
    "or start it in the background with its output in a file and look at that later]",
  interrupted:
    "[interrupted from outside; what it did so far is kept. Go on only if the task still asks for it]",
  oom:
    "[ended because the sandbox has no more memory. " +
    "Work on the data in pieces, and delete what is no longer needed]",
  killed:
    "[its process was killed. If it did not do that itself, run it again once, with less to do]",
};

const GONE =
  "Its files and variables are gone. Don't call this tool again; say that the work needs a new sandbox.";
const IN_PARTS = "Write large data to a file in several calls, and read it from the code.";
const ONCE_MORE = "Try once more; if it fails again, go on without it and say so.";
const OTHERWISE = "Go on without it, and say so.";

/** By the code of an error: why, as far as its message does not say it, and what to try. */
export const ADVICE: ReadonlyMap<string, string> = new Map([
  [
    "sandbox_not_found",
    "It was closed, or idle for too long, and its files and variables are gone. " +
      "Don't call this tool again; say that the work needs a new sandbox.",
  ],
  ["sandbox_lost", GONE],
  ["sandbox_busy", "Other code still runs in it. Wait for that, then try again."],
  [
    "unreachable",
    "Calling again at once does not help. Go on without running code, and say that it could not be run.",
  ],
  [
    "outcome_unknown",
    "It may have run in part. Look at its effects, at files and variables, before you run it again.",
  ],
  ["cut_off", ONCE_MORE],
  ["no_answer", "The machine is overloaded. Try once more, with less to do."],
  ["body_too_large", IN_PARTS],
  ["too_large", IN_PARTS],
  ["disk_full", "Remove files that are not needed any more, then try again."],
  [
    "file_not_found",
    "List the directory to see what is there, and mind that a relative path begins at /root.",
  ],
  ["is_a_directory", "Name a file in it."],
  ["not_a_directory", "Name the directory above it."],
  ["not_a_file", "Use code to work with devices, pipes and sockets."],
  ["permission_denied", "Choose a path under /root or /tmp."],
  ["invalid_path", "Give an absolute path, or one relative to /root."],
]);

/** Where the code is none of these. */
export const ADVICE_BY_KIND: readonly (readonly [
  abstract new (...given: never[]) => PodflareError,
  string,
])[] = [
  [
    AuthenticationError,
    "You can't mend this. Go on without running code, and say that it could not be run.",
  ],
  [
    QuotaError,
    "Don't call this tool again for now; say that the limit of this account is reached.",
  ],
  [CapacityError, "The machine is full. Try again later, or go on without running code."],
  [NotFoundError, "Check the name, and list what is there."],
  [
    ConflictError,
    "It can't be done in the present state. Look at the state before you try again.",
  ],
  [InvalidRequestError, "Mend the input and call again."],
  [TimeoutError, "Try once more, with less to do."],
  [ConnectionError, ONCE_MORE],
  [ServerError, ONCE_MORE],
  [PodflareError, OTHERWISE],
];

/** Words for a model, and pictures. */
export function tell(text: string, failed = false, images: Image[] = []): Told {
  return { text: clean(text), failed, images };
}

/** The text, for a framework that passes on nothing else. */
export function withoutPictures({ text, images }: Told): string {
  return images.length === 0 ? text : `${text}\n${UNSEEN}`;
}

/** An error as a model is told it, or undefined if it is none that a model can do anything with. */
export function errorForModel(error: unknown): string | undefined {
  if (error instanceof Misuse) return `error: ${error.message}`;
  return error instanceof PodflareError ? explain(error) : undefined;
}

/** What an error of the sandbox means for a model; with a sentence that says more of what happened. */
export function explain(error: PodflareError, sentence = error.sentence): string {
  return `error: ${sentence.replace(/[. ]+$/, "")}. ${adviceOn(error)}`;
}

function adviceOn(error: PodflareError): string {
  return (
    ADVICE.get(error.code ?? "") ??
    ADVICE_BY_KIND.find(([kind]) => error instanceof kind)?.[1] ??
    OTHERWISE
  );
}

/** The outcome of code as plain text: what it printed, then its result, then how it ended. */
export function outcome(result: ExecResult, limits: Limits = {}): Told {
  const { images, notes } = picturesOf(result, limits);
  const parts: string[] = [];
  if (result.stdout !== "") parts.push(withoutNewlinesAtTheEnd(screen(result.stdout)));
  if (result.stderr !== "") parts.push(`stderr:\n${withoutNewlinesAtTheEnd(screen(result.stderr))}`);
  parts.push(...result.results.map((one) => screen(shownAsText(one))).filter((text) => text !== ""));
  const text = cutMiddle(parts.join("\n"), limits.maxCharacters);
  const told = text === "" ? [] : [text];
  told.push(...notes, ...remarksOn(result));
  if (result.exitCode !== 0) told.push(`exit code: ${result.exitCode}`);
  if (told.length === 0) told.push(images.length > 0 ? "(see the picture)" : SILENT);
  return tell(told.join("\n"), result.exitCode !== 0, images);
}

/** The outcome in the form that the hosted service's `code_execution` helper has. */
export function exactOutcome(result: ExecResult, maxCharacters = Infinity): Told {
  const stdout = cutMiddle(screen(result.stdout), maxCharacters);
  const stderr = cutMiddle(screen(result.stderr), maxCharacters);
  const late = result.reason === "timeout" ? `\n${reasonOf(result)}` : ""; // Else 124 is all.
  // Else the model would go on using variables that no longer exist.
  const lost = result.stateKept ? "" : `\n${STATE_LOST}`;
  return tell(
    `stdout:\n${stdout}\nstderr:\n${stderr}${lost}${late}\nexit_code: ${result.exitCode}`,
    result.exitCode !== 0,
  );
}

function lastDrawn(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === "\r") end--;
  return line.slice(end === 0 ? 0 : line.lastIndexOf("\r", end - 1) + 1, end);
}

/** What else the model has to know about how it ended. */
function remarksOn(result: ExecResult): string[] {
  const why = reasonOf(result);
  return [...(why === undefined ? [] : [why]), ...(result.stateKept ? [] : [STATE_LOST])];
}

function reasonOf({ reason, error }: ExecResult): string | undefined {
  if (error?.name === "QueuedTooLong") return QUEUED;
  return reason === undefined ? undefined : REASONS[reason];
}

// Colours and movements of the cursor; titles and links; the rest.
const ESCAPE =
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;

/**
 * The text as a terminal would leave it: without escape codes, and of a line that was drawn again
 * and again, as a progress bar is, the last state. Takes time in proportion to its length.
 */
export function screen(text: string): string {
  let left = text.includes("\x1b") ? text.replace(ESCAPE, "") : text;
  if (left.includes("\b")) {
    const kept: string[] = [];
    for (const letter of left) {
      const last = kept.at(-1);
      if (letter !== "\b") kept.push(letter);
      else if (last !== undefined && last !== "\n" && last !== "\r") kept.pop();
    }
    left = kept.join("");
  }
  return left.includes("\r") ? left.split("\n").map(lastDrawn).join("\n") : left;
}

/**
 * The text, or its beginning and its end with a word about what is left out between them. No
 * character is cut in two: they are counted as a person counts them, an emoji as one.
 */
export function cutMiddle(text: string, limit: number = CHARACTERS): string {
  if (text.length <= limit) return text;
  const count = countCharacters(text);
  if (count <= limit) return text;
  const head = Math.floor((limit * 3) / 5);
  const tail = Math.floor((limit * 2) / 5);
  const left = (count - head - tail).toLocaleString("en-US");
  return (
    `${text.slice(0, after(text, head))}\n[… ${left} characters are left out here. Print less, ` +
    `or write it to a file and look at parts of it …]\n${text.slice(beforeTheLast(text, tail))}`
  );
}

/** The text without halves of surrogate pairs, which no provider's API takes. */
function clean(text: string): string {
  return text.toWellFormed();
}

/** The pictures that can be shown to a model, and a word about each that can't. */
export function picturesOf(
  result: ExecResult,
  limits: Limits = {},
): { images: Image[]; notes: string[] } {
  const most = limits.maxImages ?? IMAGES;
  const images: Image[] = [];
  const notes: string[] = [];
  for (const shown of result.results) {
    const mediaType = pictureIn(shown);
    if (mediaType === undefined) continue;
    const data = (shown[mediaType] ?? "").replace(/\s+/g, "");
    const why = images.length < most ? whyNot(mediaType, data) : tooMany(most);
    if (why === undefined) images.push({ mediaType, data });
    else notes.push(why);
  }
  return { images, notes };
}

export function tooMany(most = IMAGES): string {
  return `[a picture is left out: at most ${most} are shown at once. Show it in another call]`;
}

/**
 * Why this can't be sent: it comes from code that nobody vouches for, and one bad picture would
 * have the whole conversation refused.
 */
function whyNot(mediaType: MediaType, data: string): string | undefined {
  if (data.length > LARGEST_IMAGE) {
    const bytes = Math.floor((data.length * 3) / 4).toLocaleString("en-US");
    return (
      `[a picture of ${bytes} bytes is left out: that is too large. ` +
      "Draw it smaller, or save it to a file]"
    );
  }
  const begin = isBase64(data) ? atob(data.slice(0, HEAD)) : "";
  const signatures = SIGNATURES.find(([type]) => type === mediaType)?.[1] ?? [];
  return signatures.some((signature) => begin.startsWith(signature))
    ? undefined
    : `[a picture is left out: its data are no ${mediaType}. Draw it again]`;
}

function isBase64(data: string): boolean {
  return data.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(data.replace(/={1,2}$/, ""));
}

/** A shown value as text; nothing for one that is a picture. */
function shownAsText(shown: Shown): string {
  return pictureIn(shown) === undefined ? withoutNewlinesAtTheEnd(shown["text/plain"] ?? "") : "";
}

/** The type of a value that is a picture: one form of each is enough. */
function pictureIn(shown: Shown): MediaType | undefined {
  return SIGNATURES.find(([type]) => typeof shown[type] === "string")?.[0];
}

function withoutNewlinesAtTheEnd(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === "\n") end--;
  return text.slice(0, end);
}

function countCharacters(text: string): number {
  let count = text.length;
  for (let at = 1; at < text.length; at++) if (isInAPair(text, at)) count--;
  return count;
}

/** The index after so many characters from the beginning. */
function after(text: string, count: number): number {
  let at = 0;
  for (let i = 0; i < count; i++) at += isInAPair(text, at + 1) ? 2 : 1;
  return at;
}

/** The index before so many characters at the end. */
function beforeTheLast(text: string, count: number): number {
  let at = text.length;
  for (let i = 0; i < count; i++) at -= isInAPair(text, at - 1) ? 2 : 1;
  return at;
}

/** Whether a cut before this index would be one in the middle of a character. */
function isInAPair(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}
