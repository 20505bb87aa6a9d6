/** What a caller may upload, made into something that can be sent in constant memory. */

import { statSync } from "node:fs";
import { homedir } from "node:os";

/** Bytes have a length and can be sent again; an iterator has neither. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>;

/**
 * What can be uploaded: text (as UTF-8), bytes, a Blob, and, chunk by chunk in constant memory, a
 * stream of Node or of the web, or any iterable of chunks.
 */
export type Data =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | BlobLike
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>
  | StreamLike;

/** A `Blob` or `File`. */
export interface BlobLike {
  readonly size: number;
  arrayBuffer(): Promise<ArrayBuffer>;
  stream(): unknown;
}

/** A `ReadableStream` of the web. */
export interface StreamLike {
  getReader(): {
    read(): Promise<{ done: boolean; value?: unknown }>;
    cancel(reason?: unknown): Promise<unknown>;
  };
}

const CHUNK = 256 * 1024;
const LONGEST_NAME = 1024;
const encoder = new TextEncoder();

/** Tells path from data in either order; two strings are path, then data. */
export function pathAndData(first: unknown, second: unknown): [string, Data] {
  if (typeof first === "string" && typeof second === "string" && namesALocalFile(first, second)) {
    throw new TypeError(
      "upload takes a path in the sandbox and the data itself, and this looks like the path of a " +
        "local file: sandbox.uploadFrom(localPath, path) copies one; to store a text that looks " +
        "like a path, pass it as bytes",
    );
  }
  if (typeof first === "string") return [first, second as Data];
  if (typeof second === "string") return [second, first as Data];
  throw new TypeError("upload needs a path, which is a string, and data");
}

/** Whether the text is the path of a file here, or that of its copy, as `cp` takes the two. */
function namesALocalFile(path: string, text: string): boolean {
  return isLocalFile(text) || (/^(\/|~\/|\.\/|\.\.\/)/.test(text) && isLocalFile(path));
}

function isLocalFile(name: string): boolean {
  if (name.length > LONGEST_NAME || name.includes("\0")) return false;
  try {
    const path = name.startsWith("~/") ? homedir() + name.slice(1) : name;
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false; // Where nobody may look, or what no file can be called, names no file.
  }
}

/** The data as it can be sent. */
export function bodyOf(data: unknown): Body {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  if (typeof data === "object" && data !== null) {
    if (Symbol.asyncIterator in data || Symbol.iterator in data) {
      return chunks(data as AsyncIterable<unknown>);
    }
    if ("getReader" in data) return chunks(read(data as StreamLike));
    if ("stream" in data && typeof data.stream === "function") return bodyOf(data.stream());
  }
  throw new TypeError(
    "upload data is a string, bytes, a Blob, a stream or an iterable of bytes, not " +
      (data === null ? "null" : Array.isArray(data) ? "an array" : typeof data),
  );
}

async function* chunks(items: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const item of items) {
    if (typeof item !== "string" && !(item instanceof ArrayBuffer) && !ArrayBuffer.isView(item)) {
      throw new TypeError(`upload data must be chunks of bytes or strings, not ${typeof item}`);
    }
    const bytes = bodyOf(item) as Uint8Array;
    for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
  }
}

async function* read(stream: StreamLike): AsyncGenerator<unknown> {
  const reader = stream.getReader();
  let done = false;
  try {
    while (true) {
      const next = await reader.read();
      done = next.done;
      if (done) return;
      yield next.value;
    }
  } finally {
    if (!done) await reader.cancel();
  }
}
