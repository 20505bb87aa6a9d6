/**
 * Podflare runs code in a microVM of its own, in a Python process that stays alive.
 *
 * ```ts
 * import { Sandbox } from "podflare";
 *
 * await using sandbox = await Sandbox.create();
 * await sandbox.runCode("x = 41");
 * console.log((await sandbox.runCode("print(x + 1)")).stdout);
 * ```
 *
 * @module
 */

export type { BlobLike, Data, StreamLike } from "./bodies.js";
export { VERSION } from "./calls.js";
export { Client } from "./client.js";
export type { CallOptions, ClientOptions, ServerOptions } from "./client.js";
export {
  AuthenticationError,
  CapacityError,
  ConflictError,
  ConnectionError,
  InvalidRequestError,
  MergeConflictError,
  NotFoundError,
  PodflareError,
  QuotaError,
  ServerError,
  TimeoutError,
} from "./errors.js";
export type { ErrorFacts, MergeConflict } from "./errors.js";
export type { Listeners } from "./events.js";
export { Exec, ExecStream, Execs } from "./execs.js";
export type { RunOptions } from "./execs.js";
export { Files } from "./files.js";
export type { FileList, WriteOptions } from "./files.js";
export { Pty, Ptys } from "./pty.js";
export type { PtyCreateOptions, PtyExit, PtyOptions } from "./pty.js";
export type {
  Difference,
  ErrorEvent,
  Event,
  ExecError,
  ExecInfo,
  ExecResult,
  ExitEvent,
  ExitReason,
  FileEntry,
  FileState,
  Gap,
  GapEvent,
  Language,
  MergeReport,
  OutputEvent,
  PtyInfo,
  Relative,
  ResultEvent,
  SandboxInfo,
  Shown,
  SpaceInfo,
  TemplateInfo,
  Variable,
  WaitingEvent,
} from "./results.js";
export { Sandbox } from "./sandbox.js";
export type { MergeOptions, SandboxOptions } from "./sandbox.js";
export { Space } from "./space.js";
export { Template, TemplateBuildError } from "./template.js";
export type { BuildOptions } from "./template.js";
