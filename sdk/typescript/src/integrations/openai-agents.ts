/**
 * A tool of the OpenAI Agents SDK that runs code in a sandbox.
 *
 * @module
 */

import { tool } from "@openai/agents";
import type { FunctionTool } from "@openai/agents";

import type { Sandbox, SandboxOptions } from "../sandbox.js";
import type { Limits } from "./speech.js";
import { INTERPRETER_DESCRIPTION, INTERPRETER_PARAMETERS, SandboxSource, runForModel } from "./tools.js";

export interface CodeInterpreterOptions extends Limits {
  /** Where it runs. Without one, a sandbox is made at the first call. */
  sandbox?: Sandbox | undefined;
  /** For the sandbox that is made at the first call. */
  sandboxOptions?: SandboxOptions | undefined;
  /** The tool's name; `run_code` by default. */
  name?: string | undefined;
  /** What the model is told of it. */
  description?: string | undefined;
  /** Seconds after which code is interrupted. */
  timeoutSeconds?: number | undefined;
}

/**
 * A tool `run_code` `{code, language}` → one text. What goes wrong, in the code or with the sandbox, is said
 * in the text, so that the model can react.
 */
export function podflareCodeInterpreter<Context = unknown>(
  options: CodeInterpreterOptions = {},
): FunctionTool<Context> {
  const source = new SandboxSource(options.sandbox, options.sandboxOptions);
  return tool({
    name: options.name ?? "run_code",
    description: options.description ?? INTERPRETER_DESCRIPTION,
    // A strict schema names every field as required.
    parameters: {
      ...INTERPRETER_PARAMETERS,
      required: ["code", "language"],
      additionalProperties: false as const,
    },
    strict: true,
    execute: (input: unknown, _, details) =>
      runForModel(source, input, { ...options, signal: details?.signal }),
  }) as unknown as FunctionTool<Context>;
}
