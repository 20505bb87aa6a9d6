/**
 * Answers tool calls of Anthropic's Messages API with a sandbox.
 *
 * No dependency: a tool call may be an object of `@anthropic-ai/sdk` or the same thing as plain
 * JSON, and the answers are plain JSON.
 *
 * The API's own `code_execution_2025…` tools are *server tools*: a block of type `server_tool_use`
 * has been run by the provider when you see it, its result is in the same message, and the API
 * takes no answer to it. What reaches your machine is `tool_use`, and only that is answered here.
 * The client tools below are what a live model can be given instead.
 *
 * @module
 */

import type { ExecResult, Language } from "../results.js";
import type { Sandbox } from "../sandbox.js";
import { Editor } from "./editor.js";
import {
  DESCRIPTION_BASH,
  DESCRIPTION_PYTHON,
  ToolError,
  cutMiddle,
  errorForModel,
  imagesOf,
  inputOf,
  missing,
  stderrOf,
  valueOf,
} from "./tools.js";
import type { ToolOptions } from "./tools.js";

export { cutMiddle, errorForModel } from "./tools.js";
export type { Limits, ToolOptions } from "./tools.js";

/** Runs Python in the process that stays alive. */
export const runPython = {
  name: "run_python" as const,
  description: DESCRIPTION_PYTHON,
  input_schema: inputOf("code", "Python source"),
};

/** Runs a bash script in a fresh shell. */
export const runBash = {
  name: "run_bash" as const,
  description: DESCRIPTION_BASH,
  input_schema: inputOf("command", "bash source"),
};

/** The provider's bash tool: its variables, functions and directory stay until it is restarted. */
export const bash = { type: "bash_20250124" as const, name: "bash" as const };

/** The provider's editor tool, on the sandbox's files. */
export const textEditor = {
  type: "text_editor_20250728" as const,
  name: "str_replace_based_edit_tool" as const,
};

/** The tools that complement each other best: Python with its state, a shell with its own, files. */
export const tools = [runPython, bash, textEditor];

export interface TextBlock {
  type: "text";
  text: string;
}

export interface ImageBlock {
  type: "image";
  source: {
    type: "base64";
    media_type: "image/png" | "image/jpeg" | "image/gif" | "image/webp";
    data: string;
  };
}

export type ResultBlock = TextBlock | ImageBlock;

/** The answer to one tool call, as the Messages API takes it. */
export interface ToolResult {
  type: "tool_result";
  tool_use_id: string;
  content: ResultBlock[];
  is_error: boolean;
}

/** A block of an assistant's message, of which only `tool_use` matters here. */
export interface Block {
  type: string;
}

/** Does what a tool of your own asks for. What it throws is told to the model as an error. */
export type Handler = (input: unknown) => string | ResultBlock[] | Promise<string | ResultBlock[]>;

export interface RunToolsOptions extends ToolOptions {
  /** Your own tools by name. */
  others?: Record<string, Handler> | undefined;
}

const DEFAULT_TIMEOUT_SECONDS = 300;
const SESSION = "/var/tmp/.podflare-bash-session";
// One line, so that the shell's error messages count the model's own lines (from 2).
const RESTORE =
  `if [ -r ${SESSION} ]; then . ${SESSION} >/dev/null 2>&1; fi; ` +
  `trap '{ declare -p; declare -f; alias -p; shopt -p; printf "cd -- %q\\n" "$PWD"; } >${SESSION} 2>/dev/null' EXIT\n`;

/**
 * Does what one `tool_use` block asks for and answers the matching `tool_result`: `code_execution`,
 * its parts `bash_code_execution` and `text_editor_code_execution`, and the client tools.
 *
 * What goes wrong with them, in the code or with the sandbox, is a result with `is_error` true, so
 * that the model can react; it is never thrown. Pass the same sandbox each time, and variables stay
 * between calls. Throws a `TypeError` for a block that is no `tool_use`, since the API would refuse
 * an answer to it.
 */
export async function handleCodeExecutionToolUse(
  block: Block,
  sandbox: Sandbox,
  options: ToolOptions = {},
): Promise<ToolResult> {
  const { type, name, input, id } = block as Block & Record<string, unknown>;
  if (type !== "tool_use") {
    const why =
      type === "server_tool_use"
        ? "the provider has run it already and its result is in the same message"
        : "it is no tool call";
    throw new TypeError(`a block of type ${JSON.stringify(type)} can't be answered: ${why}`);
  }
  const answer = { type: "tool_result" as const, tool_use_id: String(id) };
  try {
    const tool = TOOLS.get(String(name));
    if (tool === undefined) {
      throw new ToolError(
        `there is no tool ${JSON.stringify(name)}`,
        "nothing here answers it",
        `use one of ${[...TOOLS.keys()].join(", ")}`,
      );
    }
    const given = (typeof input === "object" && input !== null ? input : {}) as Input;
    await sandbox.open();
    const { content, failed } = await tool(given, sandbox, options);
    return { ...answer, content, is_error: failed };
  } catch (error) {
    const text = errorForModel(error);
    if (text === undefined) throw error;
    return { ...answer, content: [{ type: "text", text }], is_error: true };
  }
}

/** The next message of a conversation: the results of a turn's tool calls. */
export interface Answers {
  role: "user";
  content: ToolResult[];
}

/**
 * Answers a whole turn of the assistant: the next message, with one `tool_result` for each of its
 * `tool_use` blocks, in their order, which is the order that they run in.
 *
 * ```ts
 * const answers = await runTools(message, sandbox);
 * if (answers !== null) messages.push(answers);
 * ```
 *
 * Blocks of server tools are left alone. The answer is null if the turn asks for nothing: it has
 * ended, or has to be continued as it is (`pause_turn`). Code is stopped after 300 s unless
 * `timeoutSeconds` says otherwise. A call that `max_tokens` cut off is not carried out.
 */
export async function runTools(
  message: { content: readonly Block[] | string; stop_reason?: string | null | undefined },
  sandbox: Sandbox,
  options: RunToolsOptions = {},
): Promise<Answers | null> {
  if (typeof message.content === "string") return null;
  const content: ToolResult[] = [];
  for (const [index, block] of message.content.entries()) {
    if (block.type !== "tool_use") continue;
    options.signal?.throwIfAborted();
    const { name, input, id } = block as Block & Record<string, unknown>;
    const isLast = index === message.content.length - 1;
    const other = Object.hasOwn(options.others ?? {}, String(name))
      ? options.others?.[String(name)]
      : undefined;
    if (isLast && message.stop_reason === "max_tokens") {
      content.push({
        type: "tool_result",
        tool_use_id: String(id),
        content: [{ type: "text", text: CUT_OFF.message }],
        is_error: true,
      });
    } else if (other !== undefined) {
      content.push(await ownTool(other, input, String(id)));
    } else {
      const timeoutSeconds = options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
      content.push(await handleCodeExecutionToolUse(block, sandbox, { ...options, timeoutSeconds }));
    }
  }
  return content.length > 0 ? { role: "user", content } : null;
}

const CUT_OFF = new ToolError(
  "this call was not carried out",
  "max_tokens ended your turn in the middle of it",
  "call again with less, in several steps",
);

type Input = Record<string, unknown>;
interface Outcome {
  content: ResultBlock[];
  failed: boolean;
}
type Tool = (input: Input, sandbox: Sandbox, options: ToolOptions) => Promise<Outcome>;

function run(field: string, language: Language, showsValue: boolean): Tool {
  return async (input, sandbox, options) => {
    const code = input[field];
    if (typeof code !== "string") throw missing(field);
    const { timeoutSeconds, signal } = options;
    const result = await sandbox.runCode(code, { language, timeoutSeconds, signal });
    return outcome(result, options, showsValue);
  };
}

function edit(numbered: boolean): Tool {
  return async (input, sandbox, options) => {
    const text = await new Editor(sandbox, options, numbered).run(input);
    return { content: [{ type: "text", text }], failed: false };
  };
}

const TOOLS: ReadonlyMap<string, Tool> = new Map<string, Tool>([
  ["code_execution", run("code", "python", false)],
  ["bash_code_execution", run("command", "bash", false)],
  ["text_editor_code_execution", edit(false)],
  ["run_python", run("code", "python", true)],
  ["run_bash", run("command", "bash", true)],
  ["bash", bashSession],
  ["str_replace_based_edit_tool", edit(true)],
]);

/** The provider's bash tool is one session, a sandbox's bash a fresh shell: its state is carried on. */
async function bashSession(input: Input, sandbox: Sandbox, options: ToolOptions): Promise<Outcome> {
  const { timeoutSeconds, signal } = options;
  if (input["restart"] === true) {
    await sandbox.runCode(`rm -f ${SESSION}`, { language: "bash", signal });
    return { content: [{ type: "text", text: "the shell has been restarted" }], failed: false };
  }
  const command = input["command"];
  if (typeof command !== "string") throw missing("command");
  const how = { language: "bash" as const, timeoutSeconds, signal };
  return outcome(await sandbox.runCode(RESTORE + command, how), options, true);
}

function outcome(result: ExecResult, options: ToolOptions, showsValue: boolean): Outcome {
  const { images, notes } = imagesOf(result, options);
  const stdout = cutMiddle(result.stdout, options.maxCharacters);
  const value = showsValue ? valueOf(result, options) : undefined;
  const parts = [`stdout:\n${stdout}`, `stderr:\n${stderrOf(result, options)}`];
  if (value !== undefined) parts.push(`result:\n${value}`);
  parts.push(...notes, `exit_code: ${result.exitCode}`);
  return {
    content: [
      { type: "text", text: parts.join("\n") },
      ...images.map(
        ({ mediaType, data }): ImageBlock => ({
          type: "image",
          source: { type: "base64", media_type: mediaType, data },
        }),
      ),
    ],
    failed: result.exitCode !== 0,
  };
}

async function ownTool(handler: Handler, input: unknown, id: string): Promise<ToolResult> {
  const answer = { type: "tool_result" as const, tool_use_id: id };
  try {
    const said = await handler(input);
    const content: ResultBlock[] = typeof said === "string" ? [{ type: "text", text: said }] : said;
    return { ...answer, content, is_error: false };
  } catch (error) {
    const text = errorForModel(error) ?? `error: ${error instanceof Error ? error.message : String(error)}`;
    return { ...answer, content: [{ type: "text", text }], is_error: true };
  }
}
