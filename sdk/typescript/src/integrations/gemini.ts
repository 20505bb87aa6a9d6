/**
 * A function of the Gemini API that runs code in a sandbox. No dependency: what is taken and
 * answered is plain JSON of `@google/genai`.
 *
 * @module
 */

import type { Sandbox } from "../sandbox.js";
import { withoutPictures } from "./speech.js";
import {
  INTERPRETER_DESCRIPTION,
  INTERPRETER_PARAMETERS,
  SandboxSource,
  carryOut,
  limited,
  pythonOrBash,
  unknownTool,
} from "./tools.js";
import type { ToolOptions } from "./tools.js";

/** What of a function call matters here. */
export interface FunctionCall {
  id?: string | undefined;
  name?: string | undefined;
  args?: Record<string, unknown> | undefined;
}

/** What a function is answered with: the outcome of the code, or what went wrong. */
export type FunctionResult = { output: string } | { error: string };

const NAME = "run_python";

/** The declaration of `run_python` `{code, language?}`, for `config.tools[].functionDeclarations`. */
export function podflareFunctionDeclaration() {
  return {
    name: NAME,
    description: INTERPRETER_DESCRIPTION,
    parametersJsonSchema: INTERPRETER_PARAMETERS as unknown,
  };
}

/**
 * Does what a function call asks for, and answers what goes into its `functionResponse.response`.
 * What goes wrong, in the code or with the sandbox, is in the answer, so that the model can react.
 */
export async function runFunctionCall(
  call: FunctionCall,
  sandbox: Sandbox,
  options: ToolOptions = {},
): Promise<FunctionResult> {
  const tool = call.name === NAME ? pythonOrBash : unknownTool(call.name, [NAME]);
  const told = await carryOut(tool, call.args, new SandboxSource(sandbox), limited(options));
  const text = withoutPictures(told);
  return told.failed ? { error: text } : { output: text };
}

/** The same as a part of the next message, with the call's name and id. */
export async function answerFunctionCall(
  call: FunctionCall,
  sandbox: Sandbox,
  options: ToolOptions = {},
) {
  const response = await runFunctionCall(call, sandbox, options);
  return {
    functionResponse: {
      ...(call.id === undefined ? {} : { id: call.id }),
      name: call.name ?? NAME,
      response: { ...response } as Record<string, unknown>,
    },
  };
}
