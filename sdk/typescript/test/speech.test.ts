/** What a model is told: docs/errors-for-models.md says it, and this compares. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { NotFoundError, PodflareError } from "podflare";
import type { ExecResult, Shown } from "podflare";

import { editor } from "../dist/integrations/editor.js";
import {
  ADVICE,
  ADVICE_BY_KIND,
  REASONS,
  SILENT,
  QUEUED,
  STATE_LOST,
  UNSEEN,
  screen,
  cutMiddle,
  errorForModel,
  exactOutcome,
  outcome,
  tooMany,
  withoutPictures,
} from "../dist/integrations/speech.js";
import { SandboxSource, carryOut, python, pythonOrBash } from "../dist/integrations/tools.js";
import type { Tool } from "../dist/integrations/tools.js";
import { REPOSITORY } from "./blocks.js";
import { refuse, sandboxOn } from "./support.js";

const PAGE = readFileSync(join(REPOSITORY, "docs", "errors-for-models.md"), "utf8");
const PNG = Buffer.from("\x89PNG\r\n\x1a\n" + "\0".repeat(20), "latin1").toString("base64");

/** The rows of the table below a heading of the page. */
function table(heading: string): Record<string, string> {
  const section = PAGE.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = [...section.matchAll(/^\| (.+?) \| (.+) \|$/gm)].slice(2);
  assert(rows.length > 5);
  return Object.fromEntries(rows.map(([, name, text]) => [name, text]));
}

/** A result that differs in this from one of code that did nothing. */
function result(more: Partial<ExecResult>): ExecResult {
  return {
    stdout: "",
    stderr: "",
    exitCode: 0,
    result: null,
    text: null,
    results: [],
    error: null,
    reason: "ok",
    stateKept: true,
    durationMs: 1,
    gaps: [],
    ...more,
  };
}

function showing(...results: Shown[]): ExecResult {
  return result({ results });
}

test("every way that code can end is on the page", () => {
  const reasons = Object.entries(REASONS).map(([reason, text]) => [`\`${reason}\``, text]);
  assert.deepEqual(table("How code ended"), {
    ...Object.fromEntries(reasons),
    "it never ran": QUEUED,
    "the Python process ended": STATE_LOST,
    "no output": SILENT,
    "too much output": cutMiddle("x".repeat(50_000), 0).trim(),
    "pictures, where they can't be passed on": UNSEEN,
    "too many pictures": tooMany(),
  });
});

test("a text is told as a terminal would leave it", () => {
  assert.equal(screen("\r0/2\r1/2\r2/2\ndone\r\n"), "2/2\ndone\n");
  assert.equal(screen("a\rb\r"), "b");
  assert.equal(screen("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b(B"), "red x");
  assert.equal(screen("50%\b\b\b🎉\b60%\n\b!"), "60%\n!");
  assert.equal(screen("\x1b]open\nnext \x1b["), "\nnext ");
  const much = "x".repeat(1_000_000) + "\b".repeat(1_000_000) + "\r".repeat(1_000_000) + "y";
  assert.equal(screen(much), "y");
});

test("every error of a sandbox is on the page", () => {
  const codes = [...ADVICE].map(([code, text]) => [`\`${code}\``, text]);
  const kinds = ADVICE_BY_KIND.map(([kind, text]) => [`other \`${kind.name}\``, text]);
  assert.deepEqual(table("What failed"), Object.fromEntries([...codes, ...kinds]));
});

/** Each row of the table of misuse: what the model asked for, of a sandbox that has these files. */
const FILES: Record<string, Buffer> = {
  "/root/a.py": Buffer.from("x\nx\n"),
  "/root/data.bin": Buffer.from([0xff, 0xfe]),
  "/root/big.txt": Buffer.alloc(2_000_000, "x"),
};
const FILE = "/root/a.py";
const MISUSE: Record<string, [Tool, object]> = {
  "a field is missing": [python, {}],
  "an unknown language": [pythonOrBash, { code: "1", language: "ruby" }],
  "an unknown command of the editor": [editor, { command: "undo_edit", path: FILE }],
  "no path": [editor, { command: "view", path: "" }],
  "a bad `view_range`": [editor, { command: "view", path: FILE, view_range: [0, 1] }],
  "lines that are not there": [editor, { command: "view", path: FILE, view_range: [9, -1] }],
  "a text that is not there": [editor, { command: "str_replace", path: FILE, old_str: "y", new_str: "z" }],
  "a text that is there twice": [editor, { command: "str_replace", path: FILE, old_str: "x", new_str: "z" }],
  "no `insert_line`": [editor, { command: "insert", path: FILE, insert_text: "y" }],
  "an `insert_line` beyond the end": [
    editor,
    { command: "insert", path: FILE, insert_line: 7, insert_text: "y" },
  ],
  "a file that is no text": [editor, { command: "view", path: "/root/data.bin" }],
  "a file that is too large": [editor, { command: "view", path: "/root/big.txt" }],
};

test("everything that a model can do wrong is on the page", async (t) => {
  const { sandbox, server } = await sandboxOn(t, ({ url }, response) => {
    const path = new URL(url, "http://host").searchParams.get("path") ?? "";
    const content = FILES[path];
    return content === undefined ? refuse(response, 404, "file_not_found") : response.end(content);
  });
  const said: Record<string, string> = {};
  for (const [name, [tool, input]] of Object.entries(MISUSE)) {
    const told = await carryOut(tool, input, new SandboxSource(sandbox), {});
    assert.equal(told.failed, true);
    said[name] = told.text;
  }
  assert.deepEqual(said, table("What the model did wrong"));
  assert(server.asked.every((one) => one.method === "GET"));
});

test("every text says what to try", () => {
  const imperative =
    /\b(Don't|Go on|Wait|Look|Try|Write|Remove|List|Name|Use|Choose|Give|Check|Mend)\b|[Tt]ry again/;
  for (const text of [...ADVICE.values(), ...ADVICE_BY_KIND.map(([, text]) => text)]) {
    assert.match(text, imperative);
  }
});

test("an error is told with its own sentence first", () => {
  const lost = new NotFoundError("sandbox not found.", { code: "sandbox_not_found" });
  assert.match(errorForModel(lost) ?? "", /^error: sandbox not found\. It was closed, or idle/);
  assert.equal(errorForModel(new NotFoundError("no")), "error: no. Check the name, and list what is there.");
  assert.equal(errorForModel(new PodflareError("strange")), "error: strange. Go on without it, and say so.");
  assert.equal(errorForModel(new RangeError("a bug")), undefined);
});

test("output, result and ending come in this order", () => {
  const told = outcome(
    result({
      stdout: "out\n",
      stderr: "warning\n",
      exitCode: 137,
      results: [{ "text/plain": "first\n" }, { "text/plain": "42", "text/html": "<b>42</b>" }],
      reason: "oom",
      stateKept: false,
    }),
  );
  const lines = ["out", "stderr:", "warning", "first", "42", REASONS.oom, STATE_LOST, "exit code: 137"];
  assert.equal(told.text, lines.join("\n"));
  assert.equal(told.failed, true);
  assert.deepEqual(outcome(result({})), { text: SILENT, failed: false, images: [] });
});

test("the exact form has both outputs whole, and that the process was lost", () => {
  const told = exactOutcome(
    result({ stdout: "x".repeat(50_000), stderr: "no\n", exitCode: 137, stateKept: false }),
  );
  assert.equal(
    told.text,
    `stdout:\n${"x".repeat(50_000)}\nstderr:\nno\n\n${STATE_LOST}\nexit_code: 137`,
  );
  assert.match(exactOutcome(result({ stdout: "x".repeat(50) }), 10).text, /^stdout:\nx{6}\n\[… 40 char/);
});

test("a picture is told as a picture, or that it can't be seen", () => {
  const told = outcome(showing({ "text/plain": "<Figure>", "image/png": `${PNG}\n` }));
  assert.deepEqual(told, {
    text: "(see the picture)",
    failed: false,
    images: [{ mediaType: "image/png", data: PNG }],
  });
  assert.equal(withoutPictures(told), `(see the picture)\n${UNSEEN}`);
});

test("what is no picture is left out, and that is said", () => {
  const gif = Buffer.from("GIF89a").toString("base64");
  for (const data of ["!!!", "", gif, `${PNG}!`, `${PNG}AAA`, `${PNG.slice(0, 8)}====`]) {
    const told = outcome(showing({ "text/plain": "f", "image/png": data }));
    assert.deepEqual(told.images, []);
    assert.equal(told.text, "[a picture is left out: its data are no image/png. Draw it again]");
  }
  assert.equal(
    outcome(showing({ "image/png": "A".repeat(6_000_000) })).text,
    "[a picture of 4,500,000 bytes is left out: that is too large. Draw it smaller, or save it to a file]",
  );
});

test("there are at most eight pictures, or as many as the program wants", () => {
  const many = showing(...Array.from({ length: 10 }, () => ({ "image/png": PNG })));
  const told = outcome(many);
  assert.equal(told.images.length, 8);
  assert.equal(told.text, [tooMany(), tooMany()].join("\n"));
  const fewer = outcome(many, { maxImages: 9 });
  assert.equal(fewer.images.length, 9);
  assert.match(fewer.text, /^\[a picture is left out: at most 9 are shown at once\./);
});

test("long output keeps its beginning and its end", () => {
  const { text } = outcome(result({ stdout: `begin${"x".repeat(100_000)}end` }), { maxCharacters: 1000 });
  assert.match(
    text,
    /^beginx{595}\n\[… 99,008 characters are left out here\. Print less, or write it to a file and look at parts of it …\]\nx{397}end$/,
  );
  assert.equal(outcome(result({ stdout: "x".repeat(30_000) })).text.length, 30_000);
  assert.match(outcome(result({ stdout: "x".repeat(30_001) })).text, /^x{18000}\n\[… 1 characters/);
});

test("a character is never cut in two, and counts as one", () => {
  assert.match(cutMiddle("🎉".repeat(10), 5), /^🎉🎉🎉\n\[… 5 characters are left out here\..*\]\n🎉🎉$/);
  assert.match(cutMiddle("a🎉b🎉c", 3), /^a\n\[… 3 characters are left out here\..*\]\nc$/);
  assert.equal(cutMiddle("🎉".repeat(10), 10), "🎉".repeat(10));
  assert.equal(cutMiddle("short", 5), "short");
});

test("halves of surrogate pairs do not reach the provider", () => {
  assert.equal(outcome(result({ stdout: "a\ud800b🎉\udfff" })).text, "a\ufffdb🎉\ufffd");
  assert.match(exactOutcome(result({ stderr: "\udc00" })).text, /\nstderr:\n\ufffd\n/);
});
