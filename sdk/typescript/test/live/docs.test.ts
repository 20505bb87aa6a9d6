/** The programs of the guides and of the package's page compile, and run on a real server. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";

import { REPOSITORY, blocksOf } from "../blocks.js";

const HERE = join(REPOSITORY, "sdk", "typescript");
const PAGES = ["docs/typescript.md", "docs/anthropic.md", "sdk/typescript/README.md", "README.md"];

async function run(command: string[], cwd: string): Promise<string> {
  const child = spawn(process.execPath, command, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (data: Buffer) => (said += data));
  child.stderr.on("data", (data: Buffer) => (said += data));
  const code = await new Promise((ended) => child.once("close", ended));
  assert.equal(code, 0, said);
  return said;
}

test("every program of the guides compiles and runs", async (t) => {
  const folder = mkdtempSync(join(HERE, "build", "docs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const programs: { name: string; isRun: boolean }[] = [];
  for (const page of PAGES) {
    for (const block of blocksOf(join(REPOSITORY, page), "ts")) {
      const name = `${page.replaceAll("/", "-")}-${block.line}`;
      writeFileSync(join(folder, `${name}.ts`), `${block.text}export {};\n`);
      programs.push({ name, isRun: block.isRun });
    }
  }
  assert(programs.length > 10);
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: join(HERE, "tsconfig.json"),
      compilerOptions: { rootDir: ".", outDir: "out", declaration: false, noUnusedLocals: false },
      include: ["*.ts"],
    }),
  );
  await run([join(HERE, "node_modules", "typescript", "bin", "tsc"), "-p", folder], folder);
  for (const { name, isRun } of programs) {
    if (!isRun) continue;
    await t.test(name, async () => {
      const empty = join(folder, `in-${name}`);
      mkdirSync(empty);
      await run([join(folder, "out", `${name}.js`)], empty);
    });
  }
});
