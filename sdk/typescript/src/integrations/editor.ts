/** The text editor tools of models, on the files of a sandbox. */

import { PodflareError } from "../errors.js";
import type { CallOptions } from "../client.js";
import type { Sandbox } from "../sandbox.js";
import { ToolError, cutMiddle, missing } from "./tools.js";
import type { ToolOptions } from "./tools.js";

const LONGEST_FILE = 1024 * 1024;
const MOST_ENTRIES = 1000;
const AROUND = 4;

const LIST_TWO_LEVELS = `cd -- "$FOLDER" && find . -mindepth 1 -maxdepth 2 -not -path '*/.*' -printf '%y %P\\n' \
| sort -k2 | head -n ${MOST_ENTRIES} | sed -e 's/^d \\(.*\\)/\\1\\//' -e 's/^[^d] //'`;

type Input = Record<string, unknown>;

/** One call of a text editor tool. */
export class Editor {
  readonly #call: CallOptions;

  constructor(
    readonly sandbox: Sandbox,
    readonly options: ToolOptions,
    /** Whether a view has line numbers, as the client tool's does; the server tool's has none. */
    readonly numbered: boolean,
  ) {
    this.#call = { signal: options.signal };
  }

  async run(input: Input): Promise<string> {
    const command = text(input, "command");
    const edit = this.#edits[command];
    if (edit === undefined) {
      throw new ToolError(
        `there is no command ${JSON.stringify(command)}`,
        "it is none of this tool",
        `use one of ${Object.keys(this.#edits).join(", ")}`,
      );
    }
    return edit(text(input, "path"), input);
  }

  readonly #edits: Record<string, (path: string, input: Input) => Promise<string>> = {
    view: async (path, input) => {
      let content;
      try {
        content = await this.#read(path);
      } catch (error) {
        if (error instanceof PodflareError && error.code === "is_a_directory") return this.#list(path);
        throw error;
      }
      const lines = linesOf(content);
      const [first, last] = range(input["view_range"], lines.length);
      const shown = lines.slice(first - 1, last);
      return cutMiddle(this.numbered ? number(shown, first) : shown.join(""), this.options.maxCharacters);
    },
    create: async (path, input) => {
      const content = text(input, "file_text");
      await this.sandbox.files.write(path, content, this.#call);
      return `${path} has been written (${linesOf(content).length} lines)`;
    },
    str_replace: async (path, input) => {
      const old = text(input, "old_str");
      const fresh = input["new_str"] === undefined ? "" : text(input, "new_str");
      const content = await this.#read(path);
      const at = old === "" ? -1 : content.indexOf(old);
      if (at === -1) {
        throw new ToolError(
          `old_str is not in ${path}`,
          "it must be there exactly, with all blanks and line ends",
          "view the file, and copy the text from there",
        );
      }
      const count = content.split(old).length - 1;
      if (count > 1) {
        throw new ToolError(
          `old_str is ${count} times in ${path}`,
          "it must be there once, so that it is clear which is meant",
          "give more of the text around it",
        );
      }
      const changed = content.slice(0, at) + fresh + content.slice(at + old.length);
      await this.sandbox.files.write(path, changed, this.#call);
      return `${path} has been changed${around(changed, at, fresh.length)}`;
    },
    insert: async (path, input) => {
      const line = input["insert_line"];
      const content = await this.#read(path);
      const lines = linesOf(content);
      if (!Number.isInteger(line) || (line as number) < 0 || (line as number) > lines.length) {
        throw new ToolError(
          `there is no line ${JSON.stringify(line)} in ${path}`,
          `it has ${lines.length} lines, and insert_line is the one after which the text comes`,
          `use a number from 0, for the beginning, to ${lines.length}`,
        );
      }
      // The tool's older versions say new_str.
      const fresh = text(input, input["insert_text"] === undefined && "new_str" in input ? "new_str" : "insert_text");
      let before = lines.slice(0, line as number).join("");
      if (before !== "" && !before.endsWith("\n")) before += "\n";
      const after = lines.slice(line as number).join("");
      const piece = after !== "" && !fresh.endsWith("\n") ? `${fresh}\n` : fresh;
      const changed = before + piece + after;
      await this.sandbox.files.write(path, changed, this.#call);
      return `${path} has been changed${around(changed, before.length, piece.length)}`;
    },
  };

  async #read(path: string): Promise<string> {
    const content = await this.sandbox.files.read(path, this.#call);
    if (content.length > LONGEST_FILE) {
      throw new ToolError(
        `${path} has ${content.length} bytes`,
        "that is too much to be shown or edited as text",
        "read or change parts of it with code",
      );
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    } catch {
      throw new ToolError(
        `${path} is not UTF-8 text`,
        "only text can be shown and edited",
        "read it with code",
      );
    }
  }

  async #list(path: string): Promise<string> {
    const listed = await this.sandbox.runCode(LIST_TWO_LEVELS, {
      language: "bash",
      env: { FOLDER: path },
      signal: this.options.signal,
    });
    const entries = cutMiddle(listed.stdout, this.options.maxCharacters);
    return `${path}, two levels deep, without hidden files:\n${entries || "(empty)\n"}`;
  }
}

function text(input: Input, name: string): string {
  const value = input[name];
  if (typeof value !== "string") throw missing(name);
  return value;
}

function linesOf(content: string): string[] {
  return content.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function number(lines: string[], first: number): string {
  return lines
    .map((line, i) => `${String(first + i).padStart(6)}\t${line.endsWith("\n") ? line : `${line}\n`}`)
    .join("");
}

/** The lines around a change, so that the model sees what it did. */
function around(content: string, at: number, length: number): string {
  const lines = linesOf(content);
  const first = content.slice(0, at).split("\n").length;
  const last = content.slice(0, at + length).split("\n").length;
  const from = Math.max(1, first - AROUND);
  return `:\n${cutMiddle(number(lines.slice(from - 1, last + AROUND), from), 4_000)}`;
}

function range(asked: unknown, count: number): [number, number] {
  if (asked === undefined || asked === null) return [1, count];
  const [first, last] = Array.isArray(asked) ? (asked as unknown[]) : [];
  const valid =
    Array.isArray(asked) &&
    asked.length === 2 &&
    Number.isInteger(first) &&
    Number.isInteger(last) &&
    (first as number) >= 1 &&
    ((last as number) === -1 || (last as number) >= (first as number));
  if (!valid) {
    throw new ToolError(
      `view_range ${JSON.stringify(asked)} is none`,
      "it must be two line numbers, [first, last], with -1 for the end",
      `use numbers from 1 to ${count}`,
    );
  }
  return [first as number, last === -1 ? count : (last as number)];
}
