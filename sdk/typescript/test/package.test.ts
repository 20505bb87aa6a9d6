import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";

import * as podflare from "podflare";

import { REPOSITORY } from "./blocks.js";

const HERE = join(REPOSITORY, "sdk", "typescript");
const described = JSON.parse(readFileSync(join(HERE, "package.json"), "utf8"));

test("every sub-path can be imported and has types", async () => {
  for (const [path, target] of Object.entries<any>(described.exports)) {
    if (typeof target === "string") continue;
    const loaded = await import(`podflare${path.slice(1)}`);
    assert(Object.keys(loaded).length > 0, path);
    assert(existsSync(join(HERE, target.types)), path);
  }
});

test("nothing is needed at run time", () => {
  assert.equal(described.dependencies, undefined);
  for (const name of Object.keys(described.peerDependencies)) {
    assert.equal(described.peerDependenciesMeta[name].optional, true, name);
  }
});

test("the version is the one that the server is told", () => {
  assert.equal(podflare.VERSION, described.version);
});

test("no page of a registry is named in the lock file", () => {
  const lock = readFileSync(join(HERE, "package-lock.json"), "utf8");
  assert.doesNotMatch(lock, /"resolved"/);
});

test("the types stand on nothing but the language and AbortSignal", (t) => {
  const folder = mkdtempSync(join(HERE, "build", "consumer-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, "program.ts"),
    `import { Sandbox } from "podflare";
     import { putFiles, runTools } from "podflare/anthropic";
     import type { FilesClient } from "podflare/anthropic";
     import { runFunctionCall } from "podflare/gemini";
     export async function program(files: FilesClient): Promise<string> {
       const sandbox = await Sandbox.create();
       await runTools({ content: [] }, sandbox);
       await putFiles(files, sandbox, []);
       await runFunctionCall({}, sandbox);
       for await (const event of sandbox.runCodeStream("1")) if (event.type === "exit") event.code.toFixed();
       return (await sandbox.runCode("1", "bash")).stdout;
     }`,
  );
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        lib: ["ES2022", "DOM", "ESNext.Disposable"],
        module: "NodeNext",
        types: [],
        strict: true,
        noEmit: true,
        skipLibCheck: false,
      },
      include: ["*.ts"],
    }),
  );
  const tsc = join(HERE, "node_modules", "typescript", "bin", "tsc");
  const ran = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
});
