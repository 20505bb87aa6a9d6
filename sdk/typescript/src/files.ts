/** The files of a sandbox. */

import { randomBytes } from "node:crypto";
import { lstat, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { basename, join, resolve } from "node:path";

import { bodyOf } from "./bodies.js";
import type { Data } from "./bodies.js";
import { get, pathQuery, sandbox as sandboxPath } from "./calls.js";
import { CALL_OPTIONS } from "./client.js";
import type { CallOptions } from "./client.js";
import { own } from "./execs.js";
import type { Owner } from "./execs.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import type { FileEntry } from "./results.js";

/** A local file on its way to a sandbox. */
interface LocalFile {
  source: string;
  target: string;
  mode: number;
}

/** What is to be uploaded for a local file or folder. */
export async function* localFiles(local: string, path?: string): AsyncGenerator<LocalFile> {
  const name = basename(resolve(local));
  const target = path === undefined ? name : path.endsWith("/") ? path + name : path;
  const top = await stat(local);
  if (!top.isDirectory()) {
    yield { source: local, target, mode: top.mode & 0o777 };
    return;
  }
  for (const entry of (await readdir(local)).sort()) {
    const source = join(local, entry);
    const there = await stat(source).catch(() => undefined); // A link to nothing.
    if (there?.isDirectory()) {
      if (!(await lstat(source)).isSymbolicLink()) yield* localFiles(source, `${target}/${entry}`);
    } else if (there?.isFile()) {
      yield { source, target: `${target}/${entry}`, mode: there.mode & 0o777 };
    }
  }
}

export interface WriteOptions extends CallOptions {
  /** Permissions, as 0o644 or "0644"; else those of the file before, or 0644. */
  mode?: number | string | undefined;
}

/** How a file is removed. */
type RemoveOptions = CallOptions & { recursive?: boolean | undefined };

const WRITE_OPTIONS: Names<WriteOptions> = { ...CALL_OPTIONS, mode: true };
const REMOVE_OPTIONS: Names<RemoveOptions> = { ...CALL_OPTIONS, recursive: true };

/** The entries of a directory; `truncated` is true when there are more than the server lists. */
export type FileList = FileEntry[] & { truncated: boolean };

/**
 * Lists, reads, writes and removes files in a sandbox: `sandbox.files`. Paths are absolute or
 * relative to `/root`. Every call throws `NotFoundError` when there is no such file or sandbox.
 */
export class Files {
  readonly #owner: Owner;

  /** @internal */
  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** The entries of a directory, at most 10,000. */
  async list(path = ".", options: CallOptions = {}): Promise<FileList> {
    refuseUnknown("files.list", options, CALL_OPTIONS);
    const target = sandboxPath(this.#owner.id, "/files/list") + pathQuery(path);
    const answer = await this.#owner.client.json(get(target), own(this.#owner, options));
    const entries = [...((answer["entries"] ?? []) as FileEntry[])];
    return Object.assign(entries, { truncated: answer["truncated"] === true });
  }

  /** The whole file. For one that may not fit into memory see `stream` and `readTo`. */
  async read(path: string, options: CallOptions = {}): Promise<Uint8Array> {
    refuseUnknown("files.read", options, CALL_OPTIONS);
    const answer = await this.#owner.client.send(this.#reading(path), own(this.#owner, options));
    const bytes = await answer.read();
    // A plain Uint8Array, not Node's Buffer: `slice` and comparisons differ between the two.
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The whole file as UTF-8 text. */
  async readText(path: string, options: CallOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options));
  }

  /** The file piece by piece, in constant memory. Throws if it is cut off in the middle. */
  async *stream(path: string, options: CallOptions = {}): AsyncGenerator<Uint8Array> {
    refuseUnknown("files.stream", options, CALL_OPTIONS);
    yield* await this.#owner.client.send(this.#reading(path), own(this.#owner, options));
  }

  /**
   * Copies the file into a local one in constant memory, and answers the number of bytes. The
   * local path holds the old content or the whole new one, never a part.
   */
  async readTo(path: string, localPath: string, options: CallOptions = {}): Promise<number> {
    refuseUnknown("files.readTo", options, CALL_OPTIONS);
    const there = await stat(localPath).catch(() => undefined);
    // A device or a pipe is written to: replacing /dev/null would break every program.
    const inPlace = there !== undefined && !there.isFile();
    const part = inPlace ? localPath : `${localPath}.${randomBytes(4).toString("hex")}.part`;
    const pieces = await this.#owner.client.send(this.#reading(path), own(this.#owner, options));
    let total = 0;
    try {
      const file = await open(part, inPlace ? "w" : "wx");
      try {
        for await (const piece of pieces) {
          await file.writeFile(piece);
          total += piece.length;
        }
      } finally {
        await file.close();
      }
      if (!inPlace) await rename(part, localPath);
    } catch (error) {
      pieces.close();
      if (!inPlace) await unlink(part).catch(() => {}); // It may not even have been made.
      throw error;
    }
    return total;
  }

  /**
   * Creates or replaces a file, with the directories above it, and answers the number of bytes.
   * The file has its old content or the whole new one, never a part.
   */
  async write(path: string, data: Data, options: WriteOptions = {}): Promise<number> {
    refuseUnknown("files.write", options, WRITE_OPTIONS);
    const body = bodyOf(data);
    const { mode } = options;
    const bits = typeof mode === "number" ? mode.toString(8).padStart(4, "0") : mode;
    const call = {
      method: "PUT" as const,
      target: sandboxPath(this.#owner.id, "/files") + pathQuery(path, [["mode", bits]]),
      body,
      contentType: "application/octet-stream",
      repeatable: body instanceof Uint8Array,
    };
    const answer = await this.#owner.client.json(call, own(this.#owner, options));
    return typeof answer["size"] === "number" ? answer["size"] : 0;
  }

  /** Removes a file, or a directory: an empty one unless `recursive`. */
  async remove(path: string, options: RemoveOptions = {}): Promise<void> {
    refuseUnknown("files.remove", options, REMOVE_OPTIONS);
    // Not repeatable: the second answer would be 404 for a file that the first one removed.
    const recursive = options.recursive ? "true" : undefined;
    const target =
      sandboxPath(this.#owner.id, "/files") + pathQuery(path, [["recursive", recursive]]);
    await this.#owner.client.json({ method: "DELETE", target }, own(this.#owner, options));
  }

  #reading(path: string): ReturnType<typeof get> {
    return get(sandboxPath(this.#owner.id, "/files") + pathQuery(path));
  }
}
