/**
 * A tool of LangChain that runs code in a sandbox.
 *
 * @module
 */

import { StructuredTool } from "@langchain/core/tools";
import type { ToolRunnableConfig } from "@langchain/core/tools";

import type { Sandbox, SandboxOptions } from "../sandbox.js";
import type { Limits } from "./speech.js";
import { INTERPRETER_DESCRIPTION, INTERPRETER_PARAMETERS, SandboxSource, runForModel } from "./tools.js";

export interface PodflareToolOptions extends Limits {
  /** Where it runs. Without one, a sandbox is made at the first call. */
  sandbox?: Sandbox | undefined;
  /** For the sandbox that is made at the first call. */
  sandboxOptions?: SandboxOptions | undefined;
  /** The tool's name; `run_python` by default. */
  name?: string | undefined;
  /** What the model is told of it. */
  description?: string | undefined;
  /** Seconds after which code is interrupted. */
  timeoutSeconds?: number | undefined;
}

/**
 * A tool `run_python` `{code, language?}` → one text. What goes wrong, in the code or with the sandbox, is
 * said in the text, so that the model can react.
 */
export class PodflareTool extends StructuredTool {
  override name: string;
  override description: string;
  override schema = INTERPRETER_PARAMETERS;
  readonly #source: SandboxSource;
  readonly #options: PodflareToolOptions;

  constructor(options: PodflareToolOptions = {}) {
    super();
    this.name = options.name ?? "run_python";
    this.description = options.description ?? INTERPRETER_DESCRIPTION;
    this.#source = new SandboxSource(options.sandbox, options.sandboxOptions);
    this.#options = options;
  }

  static override lc_name(): string {
    return "PodflareTool";
  }

  protected override async _call(
    input: unknown,
    _?: unknown,
    config?: ToolRunnableConfig,
  ): Promise<string> {
    return runForModel(this.#source, input, { ...this.#options, signal: config?.signal });
  }
}
