/**
 * A tool of the Vercel AI SDK that runs code in a sandbox.
 *
 * @module
 */

import { jsonSchema } from "ai";
import type { Schema } from "ai";

import type { Sandbox, SandboxOptions } from "../sandbox.js";
import type { Limits } from "./speech.js";
import { INTERPRETER_DESCRIPTION, INTERPRETER_PARAMETERS, SandboxSource, runForModel } from "./tools.js";
import type { InterpreterInput } from "./tools.js";

export interface RunCodeOptions extends Limits {
  /** Where it runs. Without one, a sandbox is made at the first call. */
  sandbox?: Sandbox | undefined;
  /** For the sandbox that is made at the first call. */
  sandboxOptions?: SandboxOptions | undefined;
  /** What the model is told of it. */
  description?: string | undefined;
  /** Seconds after which code is interrupted. */
  timeoutSeconds?: number | undefined;
}

/** What `podflareRunCode` answers: a tool, as it is or in `tool({…})`. */
export interface RunCodeTool {
  description: string;
  inputSchema: Schema<InterpreterInput>;
  /** The name that version 4 of the AI SDK has for `inputSchema`. */
  parameters: Schema<InterpreterInput>;
  execute(
    input: InterpreterInput,
    options?: { abortSignal?: AbortSignal | undefined },
  ): Promise<string>;
}

/**
 * A tool `{code, language?}` → one text. What goes wrong, in the code or with the sandbox, is said in the
 * text, so that the model can react.
 */
export function podflareRunCode(options: RunCodeOptions = {}): RunCodeTool {
  const source = new SandboxSource(options.sandbox, options.sandboxOptions);
  const inputSchema = jsonSchema<InterpreterInput>(INTERPRETER_PARAMETERS);
  return {
    description: options.description ?? INTERPRETER_DESCRIPTION,
    inputSchema,
    parameters: inputSchema,
    execute: (input, how) => runForModel(source, input, { ...options, signal: how?.abortSignal }),
  };
}
