/**
 * Files between Anthropic's Files API and a sandbox. What goes wrong is thrown, by the provider's
 * library or as a `PodflareError`.
 */

import type { StreamLike } from "../bodies.js";
import type { Sandbox } from "../sandbox.js";

/** What an `Anthropic` client of `@anthropic-ai/sdk` has, as far as it matters here. */
export interface FilesClient {
  beta: {
    files: {
      retrieveMetadata(id: string): PromiseLike<{ filename: string }>;
      download(id: string): PromiseLike<{ body: AsyncIterable<Uint8Array> | StreamLike | null }>;
      /** The file is a `File`. */
      upload(upload: { file: object }): PromiseLike<{ id: string }>;
    };
  };
}

const DEEPEST = 16;

/**
 * The ids of the Files API in messages or one message: of `container_upload`, `document` and
 * `image` blocks, and of the results of the provider's own tools.
 */
export function fileIds(messages: unknown): string[] {
  const found = new Set<string>();
  gatherIds(messages, found, 0);
  return [...found];
}

function gatherIds(thing: unknown, found: Set<string>, depth: number): void {
  if (depth > DEEPEST || typeof thing !== "object" || thing === null) return;
  if (Array.isArray(thing)) {
    for (const one of thing) gatherIds(one, found, depth + 1);
    return;
  }
  const { file_id: id, content, source } = thing as Record<string, unknown>;
  if (typeof id === "string") found.add(id);
  gatherIds(content, found, depth + 1);
  gatherIds(source, found, depth + 1);
}

/**
 * Copies files of the Files API into a folder of the sandbox, each under its own name and piece by
 * piece, and answers their paths there.
 *
 * The API gives back files that its own tools made; of one that you uploaded yourself it refuses
 * the content, so use `sandbox.upload` for those.
 */
export async function putFiles(
  client: FilesClient,
  sandbox: Sandbox,
  ids: Iterable<string>,
  folder = "/root",
): Promise<string[]> {
  await sandbox.open();
  const paths: string[] = [];
  for (const id of ids) {
    const { filename } = await client.beta.files.retrieveMetadata(id);
    const path = pathFor(folder, filename, id);
    const { body } = await client.beta.files.download(id);
    await sandbox.upload(path, body ?? "");
    paths.push(path);
  }
  return paths;
}

/** Copies files of the sandbox to the Files API, and answers their ids, for the next message. */
export async function takeFiles(
  client: FilesClient,
  sandbox: Sandbox,
  paths: Iterable<string>,
): Promise<string[]> {
  await sandbox.open();
  const ids: string[] = [];
  for (const path of paths) {
    // Whole in memory: a form, which is how the API takes files, has no streams.
    const content = await sandbox.download(path);
    const file = new File([content], lastPart(path), { type: mediaTypeOf(path) });
    ids.push((await client.beta.files.upload({ file })).id);
  }
  return ids;
}

/** A path that the file's name, which anybody may have chosen, can't lead out of the folder. */
function pathFor(folder: string, name: string, id: string): string {
  const last = lastPart(name);
  const base = ["", ".", ".."].includes(last) ? id : last;
  return folder.endsWith("/") ? folder + base : `${folder}/${base}`;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

// What models are given, and what they make: the API reads a file by its type.
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  csv: "text/csv",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  gif: "image/gif",
  htm: "text/html",
  html: "text/html",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  json: "application/json",
  md: "text/markdown",
  pdf: "application/pdf",
  png: "image/png",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  py: "text/x-python",
  svg: "image/svg+xml",
  tsv: "text/tab-separated-values",
  txt: "text/plain",
  webp: "image/webp",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  xml: "text/xml",
  zip: "application/zip",
};

function mediaTypeOf(path: string): string {
  const ending = /\.([a-z]+)$/i.exec(lastPart(path))?.[1] ?? "";
  return MEDIA_TYPES[ending.toLowerCase()] ?? "application/octet-stream";
}
