/** The programs in a Markdown file. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));

/** A comment above a block says that it is shown only, and why; a reader does not see it. */
const NOT_RUN = /^<!-- not run: .+ -->$/;

/** A fenced block, and whether it is run or only shown. */
export interface Block {
  line: number;
  text: string;
  isRun: boolean;
}

export function blocksOf(path: string, language: string): Block[] {
  const lines = readFileSync(path, "utf8").split("\n");
  const blocks: Block[] = [];
  let start = -1;
  lines.forEach((line, index) => {
    if (start === -1) {
      if (line === "```" + language) start = index;
    } else if (line === "```") {
      const text = lines.slice(start + 1, index).join("\n") + "\n";
      blocks.push({ line: start + 1, text, isRun: !NOT_RUN.test(lines[start - 1] ?? "") });
      start = -1;
    }
  });
  return blocks;
}
