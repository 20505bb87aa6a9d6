/**
 * A function of the Gemini API that runs Python in a sandbox. No dependency: what is taken and
 * answered is plain JSON of `@google/genai`.
 *
 * @module
 */

import type { Sandbox } from "../sandbox.js";
import {
  DESCRIPTION_PYTHON,
  SandboxSource,
  ToolError,
  errorForModel,
  inputOf,
  missing,
  stderrOf,
  cutMiddle,
  valueOf,
} from "./tools.js";
import type { ToolOptions } from "./tools.js";

/** What of a function call matters here. */
export interface FunctionCall {
  id?: string | undefined;
  name?: string | undefined;
  args?: Record<string, unknown> | undefined;
}

/** What a function is answered with: the outcome of the code, or why it did not run. */
export type FunctionResult =
  | { stdout: string; stderr: string; exit_code: number; result?: string }
  | { error: string };

const NAME = "run_python";

/** The declaration of `run_python` `{code}`, for `config.tools[].functionDeclarations`. */
export function podflareFunctionDeclaration() {
  return {
    name: NAME,
    description: DESCRIPTION_PYTHON,
    parametersJsonSchema: inputOf("code", "Python source") as unknown,
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
  try {
    if (call.name !== NAME) {
      throw new ToolError(
        `there is no function ${JSON.stringify(call.name)}`,
        "nothing here answers it",
        `use ${NAME}`,
      );
    }
    const code = call.args?.["code"];
    if (typeof code !== "string") throw missing("code");
    const ready = await new SandboxSource(sandbox).get();
    const { timeoutSeconds, signal } = options;
    const result = await ready.runCode(code, { timeoutSeconds, signal });
    const value = valueOf(result, options);
    return {
      stdout: cutMiddle(result.stdout, options.maxCharacters),
      stderr: stderrOf(result, options),
      exit_code: result.exitCode,
      ...(value === undefined ? {} : { result: value }),
    };
  } catch (error) {
    const text = errorForModel(error);
    if (text === undefined) throw error;
    return { error: text };
  }
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
