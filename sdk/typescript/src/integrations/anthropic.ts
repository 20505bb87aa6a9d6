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

import type { Sandbox } from "../sandbox.js";
import { editor, plainEditor } from "./editor.js";
import { cutMiddle, exactOutcome, tell } from "./speech.js";
import type { MediaType, Told } from "./speech.js";
import {
  SandboxSource,
  bash as freshBash,
  bashSession,
  carryOut,
  exactBash,
  exactPython,
  limited,
  python,
  run,
  textOf,
  unknownTool,
} from "./tools.js";
import type { Tool, ToolOptions } from "./tools.js";

export { fileIds, putFiles, takeFiles } from "./anthropic-files.js";
export type { FilesClient } from "./anthropic-files.js";
export { cutMiddle, errorForModel } from "./speech.js";
export type { Limits } from "./speech.js";
export type { ToolOptions } from "./tools.js";

/** Runs Python in the process that stays alive. */
export const runPython = {
  name: "run_python" as const,
  description:
    "Runs Python in a sandbox of your own, in one process that stays alive: variables, imports and " +
    "open files are still there in the next call. What the code prints and the value of its last " +
    "expression come back, figures of matplotlib as pictures. A line that begins with ! runs in " +
    "bash. numpy, pandas, scipy, scikit-learn, matplotlib, sympy, requests, openpyxl and pillow are " +
    "installed; %pip brings more. Files live under /root; there is no input().",
  input_schema: inputOf("code", "Python source"),
};

/** Runs a bash script in a fresh process. */
export const runBash = {
  name: "run_bash" as const,
  description:
    "Runs a bash script in the sandbox, in a fresh process that starts in /root and sees the same " +
    "files as run_python. Answers what it prints and its exit code.",
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
    media_type: MediaType;
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

const TOOLS: ReadonlyMap<string, Tool> = new Map([
  ["run_python", python],
  ["run_bash", freshBash],
  ["bash", bashSession],
  ["str_replace_based_edit_tool", editor],
  ["code_execution", exactPython],
  ["bash_code_execution", exactBash],
  ["text_editor_code_execution", plainEditor],
]);

/** As the hosted service's helper answers: whole unless the program sets a limit, and only text. */
const EXACT: ReadonlyMap<string, Tool> = new Map<string, Tool>([
  [
    "code_execution",
    async (input, sandbox, options) =>
      exactOutcome(await run(textOf(input, "code"), "python", sandbox, options), options.maxCharacters),
  ],
  [
    "bash_code_execution",
    async (input, sandbox, options) =>
      exactOutcome(await run(textOf(input, "command"), "bash", sandbox, options), options.maxCharacters),
  ],
  ["text_editor_code_execution", plainEditor],
]);

const CUT_OFF = tell(
  "error: this call was not carried out: max_tokens ended your turn in the middle of it. " +
    "Call again with less, in several steps",
  true,
);

/**
 * Does what one `tool_use` block asks for and answers the matching `tool_result`, in exactly the
 * form of the hosted service's helper. The tools are `code_execution`, and its parts
 * `bash_code_execution` and `text_editor_code_execution`.
 *
 * What goes wrong with them, in the code or with the sandbox, is a result with `is_error` true, so
 * that the model can react; it is never thrown. Pass the same sandbox each time, and variables stay
 * between calls. Code is stopped after 300 s unless `timeoutSeconds` says otherwise. Throws a `TypeError` for a block that is no `tool_use`, since the API would refuse
 * an answer to it.
 */
export async function handleCodeExecutionToolUse(
  block: Block,
  sandbox: Sandbox,
  options: Omit<ToolOptions, "maxImages"> = {},
): Promise<ToolResult> {
  if (block.type !== "tool_use") {
    const why =
      block.type === "server_tool_use"
        ? "the provider has run it already and its result is in the same message"
        : "it is no tool call";
    throw new TypeError(`a block of type '${block.type}' can't be answered: ${why}`);
  }
  const { name, input, id } = callIn(block);
  const tool = EXACT.get(String(name)) ?? unknownTool(name, EXACT.keys());
  return resultOf(id, await carryOut(tool, input, new SandboxSource(sandbox), limited(options)));
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
  const source = new SandboxSource(sandbox);
  const others = new Map(Object.entries(options.others ?? {}));
  const content: ToolResult[] = [];
  for (const [index, block] of message.content.entries()) {
    if (block.type !== "tool_use") continue;
    options.signal?.throwIfAborted();
    const { name, input, id } = callIn(block);
    const isLast = index === message.content.length - 1;
    const other = others.get(String(name));
    if (isLast && message.stop_reason === "max_tokens") {
      content.push(resultOf(id, CUT_OFF));
    } else if (other !== undefined) {
      content.push(await ownTool(other, input, id, options));
    } else {
      const tool = TOOLS.get(String(name)) ?? unknownTool(name, [...TOOLS.keys(), ...others.keys()]);
      content.push(resultOf(id, await carryOut(tool, input, source, limited(options))));
    }
  }
  return content.length > 0 ? { role: "user", content } : null;
}

/** The fields of a call, which only its type promises. */
function callIn(block: Block): { name: unknown; input: unknown; id: string } {
  const { name, input, id } = block as Block & Record<string, unknown>;
  return { name, input, id: String(id) };
}

function resultOf(id: string, { text, failed, images }: Told): ToolResult {
  const pictures = images.map(
    ({ mediaType, data }): ImageBlock => ({
      type: "image",
      source: { type: "base64", media_type: mediaType, data },
    }),
  );
  return toolResult(id, [{ type: "text", text }, ...pictures], failed);
}

function toolResult(id: string, content: ResultBlock[], isError: boolean): ToolResult {
  return { type: "tool_result", tool_use_id: id, content, is_error: isError };
}

async function ownTool(
  handler: Handler,
  input: unknown,
  id: string,
  { maxCharacters }: ToolOptions,
): Promise<ToolResult> {
  try {
    const said = await handler(input);
    if (typeof said !== "string") return toolResult(id, said, false);
    return resultOf(id, tell(cutMiddle(said, maxCharacters) || "(nothing)"));
  } catch (error) {
    // Somebody else's code: whatever it is, the model is to hear it.
    const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return resultOf(id, tell(cutMiddle(`error: ${what}`, maxCharacters), true));
  }
}

/** The JSON Schema of a tool that takes one text. */
function inputOf(name: string, description: string) {
  return {
    type: "object" as const,
    properties: { [name]: { type: "string" as const, description } },
    required: [name],
  };
}
