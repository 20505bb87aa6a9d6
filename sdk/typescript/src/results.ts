/** What the calls answer. Times are milliseconds since 1970 unless a name says otherwise. */

export type Language = "python" | "bash";
export type ExitReason = "ok" | "error" | "timeout" | "interrupted" | "killed" | "oom";

/** A shown value by MIME type; `text/plain` is always there, binary types are base64. */
export type Shown = Record<string, string>;

/** An uncaught exception of the executed code. */
export interface ExecError {
  name: string;
  value: string;
  traceback: string;
}

/** Events that were lost before somebody read them: from the one number to the other. */
export interface Gap {
  from: number;
  to: number;
}

interface EventOf<Type extends string, Data> {
  type: Type;
  data: Data;
  /** Counts from 0 in each exec. */
  seq: number;
  /** The host's time. */
  ts: number;
}

export type OutputEvent = EventOf<"stdout" | "stderr", string>;
export type ResultEvent = EventOf<"result", Shown>;
export type ErrorEvent = EventOf<"error", ExecError>;
/** Only in a replay: output that the server no longer has. */
export type GapEvent = EventOf<"gap", Gap>;
/** Only as the first event: the code does not run yet. */
export type WaitingEvent = EventOf<
  "waiting",
  {
    /** The id of the exec that runs; null if a fork, a merge or a freeze has the turn. */
    behind: string | null;
  }
>;
/** The last event of every exec. */
export interface ExitEvent extends EventOf<"exit", number> {
  /** The exit code, which is `data` too. */
  code: number;
  reason: ExitReason | undefined;
  /** Whether the Python process, and so its variables, survived. */
  stateKept: boolean | undefined;
  durationMs: number | undefined;
}

/** One event of a running exec. A newer version may know more: pass over what you don't know. */
export type Event =
  | OutputEvent
  | ResultEvent
  | ErrorEvent
  | GapEvent
  | WaitingEvent
  | ExitEvent;

/** What one `runCode` call left. */
export interface ExecResult {
  /** All the text, as it was written. */
  stdout: string;
  stderr: string;
  /** 0 at the end of the code; 1 after an exception; the code of a `SystemExit`; 124 after a timeout. */
  exitCode: number;
  /** The last of `results`: the value of the last expression; or null. */
  result: Shown | null;
  /** `result` as plain text, or null: what a notebook would print for the last expression. */
  text: string | null;
  /** Every value that was shown, in order: `display(…)`, figures, the last expression. */
  results: Shown[];
  /** The uncaught exception, or null. */
  error: ExecError | null;
  /** Undefined from a server that does not say. */
  reason: ExitReason | undefined;
  /** Whether the Python process, and so its variables, survived. */
  stateKept: boolean;
  /** Undefined from a server that does not say. */
  durationMs: number | undefined;
  /** Output that was lost between two connections; empty unless the network failed for long. */
  gaps: Gap[];
}

/** What the server knows about one sandbox. */
export interface SandboxInfo {
  id: string;
  state: "ready" | "running" | "frozen" | "lost";
  template: string;
  isolation: "kvm" | "emulated";
  createdAt: number;
  lastUsedAt: number;
  idleTimeoutSeconds: number | null;
  maxLifetimeSeconds: number | null;
  cpus: number;
  memoryMb: number;
  diskMb: number;
  memoryUsedBytes: number;
  cpuTimeMs: number;
  egress: boolean;
  persistent: boolean;
  /** The sandbox that it was forked from. */
  parent: string | null;
  /** The id of the first of its family, which may be itself. */
  family: string;
  /** How many forks it is away from the first. */
  generation: number;
  metadata: Record<string, string>;
}

/** One sandbox of a family, alive or not. */
export interface Relative {
  id: string;
  parent: string | null;
  generation: number;
  createdAt: number;
  closedAt: number | null;
  /** Why it ended. */
  end: string | null;
  metadata: Record<string, string>;
}

export interface FileState {
  type: "file" | "directory" | "symlink" | "other";
  size: number;
  mode: string;
  mtime: number;
  target: string | null;
}

export interface Variable {
  type: string;
  /** Short, and the words of the code in the sandbox: escape them before you show them. */
  repr: string;
}

/** What differs between two sandboxes, seen from the first to the second. */
export interface Difference {
  /** Paths of files, sorted. */
  added: string[];
  removed: string[];
  modified: string[];
  /** For each of these paths what changed, the file in both, and the unified diff if asked for. */
  details: Record<
    string,
    {
      changed: ("type" | "content" | "mode" | "target")[];
      from: FileState | null;
      to: FileState | null;
      text: string | null;
    }
  >;
  /** The Python globals in the same three groups; null if not asked for. */
  variables: {
    added: Record<string, Variable>;
    removed: Record<string, Variable>;
    modified: Record<string, { from: Variable; to: Variable }>;
  } | null;
  /** Whether there was more than is told. */
  truncated: boolean;
}

/** What a merge of files did to the parent, or what a merge would do. */
export interface MergeReport {
  mode: "swap" | "files";
  /** Whether it was done; false after a dry run. */
  applied: boolean;
  added: string[];
  modified: string[];
  removed: string[];
  conflicts: import("./errors.js").MergeConflict[];
}

/** What the server knows about a Space. */
export interface SpaceInfo {
  id: string;
  /** The sandbox that it was. */
  sandbox: string;
  /** The persistent sandbox that sleeps in it. */
  heldBy: string | null;
  family: string;
  generation: number;
  template: string;
  cpus: number;
  memoryMb: number;
  diskMb: number;
  /** What it takes on the server's disk. */
  diskBytes: number;
  createdAt: number;
  metadata: Record<string, string>;
}

/** One entry of a directory in a sandbox. */
export interface FileEntry {
  name: string;
  type: "file" | "directory" | "symlink" | "other";
  /** Bytes. */
  size: number;
  /** Octal, like "0644". */
  mode: string;
  mtime: number;
}

/** What the server knows about one exec. */
export interface ExecInfo {
  id: string;
  language: Language;
  background: boolean;
  state: "queued" | "running" | "ended";
  /** Its first 200 characters. */
  code: string;
  createdAt: number;
  startedAt: number | null;
  endedAt: number | null;
  exitCode: number | null;
  reason: ExitReason | null;
  /** How many events there are so far. */
  events: number;
  /** The oldest event that is kept. */
  firstSeq: number;
}

/** What the server knows about one terminal. */
export interface PtyInfo {
  id: string;
  cmd: string;
  pid: number;
  cols: number;
  rows: number;
  createdAt: number;
  attached: boolean;
  exitCode: number | null;
}

/** What the server knows about one template. */
export interface TemplateInfo {
  name: string;
  base: string | null;
  version: number;
  state: "ready" | "building" | "failed";
  builtin: boolean;
  /** Whether its base, the image or another template, has changed since. */
  stale: boolean;
  createdAt: number | null;
  error: string | null;
  /** The version of Python in it, like `3.13.5`; null for one that this key has built. */
  python: string | null;
  /**
   * Version by name, as PyPI has both, of the main packages of Python in it; empty for one that this
   * key has built, which may have installed others.
   */
  pythonPackages: Record<string, string>;
}

/**
 * A server's object with its own names in camelCase; what is below (metadata, variables, paths) is
 * left as it is. Fields that this version does not know are kept, so a newer server loses nothing.
 */
export function record<T>(answer: unknown): T {
  const named: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(answer as Record<string, unknown>)) {
    named[name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())] = value;
  }
  return named as T;
}
