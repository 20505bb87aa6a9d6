/** The tools, for whichever framework: what a call does in a sandbox, and what the model is told. */

import type { Language } from "../results.js";
import { Sandbox } from "../sandbox.js";
import type { SandboxOptions } from "../sandbox.js";
import {
  CHARACTERS,
  Misuse,
  errorForModel,
  exactOutcome,
  outcome,
  picturesOf,
  tell,
  withoutPictures,
} from "./speech.js";
import type { Limits, Told } from "./speech.js";

/** What every tool call of a model takes. */
export interface ToolOptions extends Limits {
  /** Seconds after which the code is interrupted, which keeps its variables. */
  timeoutSeconds?: number | undefined;
  /** Interrupts the code. */
  signal?: AbortSignal | undefined;
}

/** The input of a call, as a model wrote it: any field may be missing, or of any type. */
export type Input = Readonly<Record<string, unknown>>;

/** What a call does in a sandbox that is open, and what the model is told of it. */
export type Tool = (input: Input, sandbox: Sandbox, options: ToolOptions) => Promise<Told>;

const DEFAULT_TIMEOUT_SECONDS = 300;
// Where a bash session keeps itself between two calls: not under the roots that a diff compares.
const SESSION = "/var/tmp/.podflare-bash";
/**
 * Bash reads the file that BASH_ENV names before the script, so that the lines of an error are
 * those of the script. What the file does is in an own variable, since nobody else writes it.
 */
const AS_SESSION = {
  BASH_ENV:
    `$(mkdir -p ${SESSION} && printf %s "$PODFLARE_BASH_SESSION" >${SESSION}/session; ` +
    `echo ${SESSION}/session)`,
  PODFLARE_BASH_SESSION: `\
unset BASH_ENV PODFLARE_BASH_SESSION
if [ -f ${SESSION}/state ]; then . ${SESSION}/state 2>/dev/null; cd "$(cat ${SESSION}/cwd)"; fi
trap '{ __pf=$?; set +x; } 2>/dev/null; pwd >${SESSION}/cwd; { declare -p; declare -f; } >${SESSION}/state 2>/dev/null; exit $__pf' EXIT
`,
};

/** Of the one tool that frameworks with a code interpreter have. */
export const INTERPRETER_DESCRIPTION =
  "Runs Python in a sandbox of your own, in one process that stays alive: variables, imports and " +
  "open files are still there in the next call. Answers what the code prints and the value of its " +
  "last expression. With language bash it runs a shell script in the same file system. numpy, " +
  "pandas, scipy, scikit-learn, matplotlib, sympy, requests, openpyxl and pillow are installed; " +
  "%pip brings more. Files live under /root; there is no input().";
export const INTERPRETER_PARAMETERS = {
  type: "object" as const,
  properties: {
    code: { type: "string" as const, description: "Python source, or a bash script" },
    language: {
      type: "string" as const,
      enum: ["python", "bash"] as Language[],
      description: "python unless you need a shell",
    },
  },
  required: ["code"],
};

/** What a model gives that tool. */
export interface InterpreterInput {
  code: string;
  language?: Language | undefined;
}

/**
 * Does what a model asks for. What goes wrong in the sandbox or with the input is told, not thrown;
 * what is no error of either, like the reason of an aborted signal, is thrown.
 */
export async function carryOut(
  tool: Tool,
  input: unknown,
  source: SandboxSource,
  options: ToolOptions,
): Promise<Told> {
  try {
    const fields = typeof input === "object" && input !== null ? (input as Input) : {};
    return await tool(fields, await source.get(), options);
  } catch (error) {
    const text = errorForModel(error);
    if (text === undefined) throw error;
    return tell(text, true);
  }
}

/** `{code}`: Python in the process that stays alive. */
export const python: Tool = async (input, sandbox, options) =>
  outcome(await run(textOf(input, "code"), "python", sandbox, options), options);

/** `{command}`: bash in a fresh process. */
export const bash: Tool = async (input, sandbox, options) =>
  outcome(await run(textOf(input, "command"), "bash", sandbox, options), options);

/** `{code, language?}`: the one tool that frameworks with a code interpreter have. */
export const pythonOrBash: Tool = async (input, sandbox, options) => {
  const code = textOf(input, "code");
  const language = input["language"] || "python";
  if (language !== "python" && language !== "bash") {
    throw new Misuse(`language must be python or bash, not ${quoted(language)}. Call again with one`);
  }
  return outcome(await run(code, language, sandbox, options), options);
};

/** `code_execution` `{code}`, told as the hosted service's helper does, with pictures. */
export const exactPython: Tool = async (input, sandbox, options) => {
  const result = await run(textOf(input, "code"), "python", sandbox, options);
  const { text, failed } = exactOutcome(result, options.maxCharacters ?? CHARACTERS);
  const { images, notes } = picturesOf(result, options);
  return tell([text, ...notes].join("\n"), failed, images);
};

/** `bash_code_execution` `{command}`, told as the hosted service's helper does. */
export const exactBash: Tool = async (input, sandbox, options) => {
  const result = await run(textOf(input, "command"), "bash", sandbox, options);
  return exactOutcome(result, options.maxCharacters ?? CHARACTERS);
};

/**
 * `bash_20250124`, `{command}` or `{restart: true}`: a shell whose directory, variables and
 * functions stay from call to call.
 *
 * Each call is a process of its own that takes over what the one before left, so that a call that
 * hangs or dies does not take the session with it.
 */
export const bashSession: Tool = async (input, sandbox, options) => {
  if (input["restart"] === true) {
    await run(`rm -rf ${SESSION}`, "bash", sandbox, options);
    return tell("the shell was restarted: its directory and variables are those of a new one");
  }
  const command = textOf(input, "command");
  return outcome(await run(command, "bash", sandbox, options, AS_SESSION), options);
};

/** A call that is answered with the names of the tools that are there. */
export function unknownTool(name: unknown, known: Iterable<string>): Tool {
  return async () => {
    throw new Misuse(`unknown tool ${quoted(name)}. The tools here are ${[...known].join(", ")}`);
  };
}

export function run(
  code: string,
  language: Language,
  sandbox: Sandbox,
  options: ToolOptions,
  env?: Record<string, string>,
) {
  const { timeoutSeconds, signal } = options;
  return sandbox.runCode(code, { language, timeoutSeconds, signal, env });
}

/** A field of a call's input that must be a text. */
export function textOf(input: Input, name: string): string {
  const value = input[name];
  if (typeof value === "string") return value;
  throw new Misuse(`the input needs '${name}', a string. Call again with it`);
}

/** What a model wrote, so that it knows it again. */
export function quoted(value: unknown): string {
  return typeof value === "string" ? `'${value}'` : (JSON.stringify(value) ?? "undefined");
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

/** Runs the code that a model wrote, and answers one text for it, whatever happened. */
export async function runForModel(
  source: SandboxSource,
  input: unknown,
  options: ToolOptions,
): Promise<string> {
  return withoutPictures(await carryOut(pythonOrBash, input, source, limited(options)));
}

/** The options, with a limit to how long code may run. */
export function limited(options: ToolOptions): ToolOptions {
  return { ...options, timeoutSeconds: options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS };
}
