/** The text editor tools of models: view, create, str_replace and insert on a sandbox's files. */

import type { CallOptions } from "../client.js";
import { PodflareError } from "../errors.js";
import type { Sandbox } from "../sandbox.js";
import { CHARACTERS, Misuse, cutMiddle, explain, outcome, tell } from "./speech.js";
import type { Told } from "./speech.js";
import { quoted, textOf } from "./tools.js";
import type { Input, Tool, ToolOptions } from "./tools.js";

const LARGEST_FILE = 1024 * 1024;
const MOST_LISTED = 1000;
/** Lines that are shown around a change. */
const AROUND = 4;
const LONGEST_SNIPPET = CHARACTERS / 4;
/** Whose sentences do not name the path everywhere. */
const ABOUT_THE_PATH = ["file_not_found", "is_a_directory", "not_a_file", "not_a_directory"];

const LIST =
  `find . -mindepth 1 -maxdepth 2 -not -path "*/.*" ` +
  `\\( -type d -printf '%P/\\n' -o -printf '%P\\n' \\) | LC_ALL=C sort | head -n ${MOST_LISTED}`;

/** `text_editor_20250728`: a view has line numbers. */
export const editor: Tool = (input, sandbox, options) =>
  new Editor(sandbox, options, true).run(input);

/** `text_editor_code_execution`: the same, and a file is shown as it is, without numbers. */
export const plainEditor: Tool = (input, sandbox, options) =>
  new Editor(sandbox, options, false).run(input);

type Edit = (path: string, input: Input) => Promise<Told>;

/** One call of a text editor tool. */
class Editor {
  readonly #call: CallOptions;

  constructor(
    readonly sandbox: Sandbox,
    readonly options: ToolOptions,
    readonly isNumbered: boolean,
  ) {
    this.#call = { signal: options.signal };
  }

  async run(input: Input): Promise<Told> {
    const command = textOf(input, "command");
    const edit = this.#edits.get(command);
    if (edit === undefined) {
      const known = [...this.#edits.keys()].join(", ");
      throw new Misuse(`unknown command ${quoted(command)}. Use one of ${known}`);
    }
    const path = textOf(input, "path");
    if (path === "") {
      throw new Misuse("the input needs 'path', a path that is not empty. Call again with it");
    }
    try {
      return await edit(path, input);
    } catch (error) {
      if (error instanceof PodflareError && ABOUT_THE_PATH.includes(error.code ?? "")) {
        return tell(explain(error, `${path}: ${error.sentence}`), true);
      }
      throw error;
    }
  }

  readonly #edits: ReadonlyMap<string, Edit> = new Map<string, Edit>([
    ["view", (path, input) => this.#view(path, input)],
    ["create", (path, input) => this.#create(path, input)],
    ["str_replace", (path, input) => this.#replace(path, input)],
    ["insert", (path, input) => this.#insert(path, input)],
  ]);

  async #view(path: string, input: Input): Promise<Told> {
    const [first, asked] = rangeIn(input);
    let text: string;
    try {
      text = await this.#read(path);
    } catch (error) {
      if (error instanceof PodflareError && error.code === "is_a_directory") return this.#list(path);
      throw error;
    }
    const lines = linesOf(text);
    if (first > Math.max(lines.length, 1)) {
      throw new Misuse(
        `${path} has ${lines.length} lines, none at ${first}. Ask for lines that it has`,
      );
    }
    const last = asked === -1 ? lines.length : asked;
    const chosen = lines.slice(first - 1, last);
    const endsWithLine = last < lines.length || text.endsWith("\n");
    const shown = this.isNumbered
      ? numbered(chosen, first)
      : chosen.join("\n") + (chosen.length > 0 && endsWithLine ? "\n" : "");
    return tell(cutMiddle(shown, this.options.maxCharacters) || `(${path} is empty)`);
  }

  async #list(path: string): Promise<Told> {
    const result = await this.sandbox.runCode(LIST, {
      language: "bash",
      cwd: path,
      signal: this.options.signal,
    });
    if (result.exitCode !== 0) return outcome(result, this.options);
    const listed = `${path}, two levels deep, without hidden files:\n${result.stdout}`;
    return tell(cutMiddle(listed, this.options.maxCharacters));
  }

  async #create(path: string, input: Input): Promise<Told> {
    const text = textOf(input, "file_text");
    await this.sandbox.files.write(path, text, this.#call);
    return tell(`${path} has been written (${linesOf(text).length} lines)`);
  }

  async #replace(path: string, input: Input): Promise<Told> {
    const old = textOf(input, "old_str");
    const fresh = isGiven(input, "new_str") ? textOf(input, "new_str") : "";
    const text = await this.#read(path);
    const count = old === "" ? 0 : countOf(text, old);
    if (count === 0) {
      throw new Misuse(`old_str is not in ${path}. View the file, and copy the text exactly`);
    }
    if (count > 1) {
      throw new Misuse(`old_str is ${count} times in ${path}. Give more of the text around it`);
    }
    const at = text.indexOf(old);
    const changed = text.slice(0, at) + fresh + text.slice(at + old.length);
    await this.sandbox.files.write(path, changed, this.#call);
    return changedAt(path, changed, countOf(text.slice(0, at), "\n"), countOf(fresh, "\n") + 1);
  }

  async #insert(path: string, input: Input): Promise<Told> {
    // Earlier versions of the tool call the text new_str.
    const isEarlier = !isGiven(input, "insert_text") && isGiven(input, "new_str");
    const added = textOf(input, isEarlier ? "new_str" : "insert_text");
    const after = input["insert_line"];
    if (!isWhole(after)) {
      throw new Misuse("the input needs 'insert_line', a number. Call again with it");
    }
    const text = await this.#read(path);
    const count = linesOf(text).length;
    if (after < 0 || after > count) {
      throw new Misuse(
        `${path} has ${count} lines, so insert_line must be from 0 to ${count}, not ${after}. ` +
          "View the file, and count again",
      );
    }
    const lines = text.split("\n");
    const fresh = linesOf(added);
    const changed = [...lines.slice(0, after), ...fresh, ...lines.slice(after)].join("\n");
    await this.sandbox.files.write(path, changed, this.#call);
    return changedAt(path, changed, after, fresh.length);
  }

  async #read(path: string): Promise<string> {
    const content = await this.sandbox.files.read(path, this.#call);
    if (content.length > LARGEST_FILE) {
      throw new Misuse(
        `${path} has ${content.length.toLocaleString("en-US")} bytes, too many to show or edit as ` +
          "text. Use code to look at parts of it",
      );
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    } catch {
      throw new Misuse(`${path} is not UTF-8 text. Use code to work with its bytes`);
    }
  }
}

function isGiven(input: Input, name: string): boolean {
  return input[name] !== undefined && input[name] !== null;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

/** The lines that a view asks for, the first and the last, from 1 on; -1 is the end. */
function rangeIn(input: Input): readonly [number, number] {
  if (!isGiven(input, "view_range")) return [1, -1];
  const asked = input["view_range"];
  if (Array.isArray(asked) && asked.length === 2) {
    const [first, last] = asked as unknown[];
    if (isWhole(first) && isWhole(last) && first >= 1 && (last === -1 || last >= first)) {
      return [first, last];
    }
  }
  throw new Misuse(
    "view_range must be two line numbers, [first, last], counted from 1, last -1 for the end. " +
      "Call again with such a range, or without one",
  );
}

/** Its lines, where a newline ends one and begins none. */
function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** How often a part is in a text, side by side. */
function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Shows what was changed, with the lines around it. */
function changedAt(path: string, text: string, line: number, count: number): Told {
  const first = Math.max(line - AROUND, 0);
  const lines = text.split("\n").slice(first, line + count + AROUND);
  return tell(`${path} has been changed:\n${cutMiddle(numbered(lines, first + 1), LONGEST_SNIPPET)}`);
}

function numbered(lines: string[], first: number): string {
  return lines.map((line, i) => `${String(first + i).padStart(6)}\t${line}`).join("\n");
}
