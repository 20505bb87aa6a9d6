#!/usr/bin/env node
/**
 * Carries the conformance suite out through the TypeScript SDK, against a real server.
 *
 *     node conformance/run.mjs [--cases FOLDER] [PATTERN]…   # whose file or name contains a pattern
 *
 * The server is the one that PODFLARE_HOSTD_URL and PODFLARE_API_KEY name, or that the SDK finds
 * without them. `npm run build` comes first. sdk/conformance/README.md says what the words of the
 * cases mean.
 */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual, parseArgs } from "node:util";

import { PodflareError } from "podflare";
import * as podflare from "podflare";

import { carryOut, end } from "./operations.mjs";

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const same = (a, b) => isDeepStrictEqual(a ?? null, b ?? null);
const TYPES = {
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
  object: isObject,
  array: Array.isArray,
};
const MATCHERS = {
  contains: (value, asked) => typeof value === "string" && value.includes(asked),
  starts: (value, asked) => typeof value === "string" && value.startsWith(asked),
  matches: (value, asked) => typeof value === "string" && new RegExp(asked, "u").test(value),
  has: (value, asked) =>
    Array.isArray(value) && asked.every((one) => value.some((item) => same(item, one))),
  lacks: (value, asked) =>
    Array.isArray(value) && !asked.some((one) => value.some((item) => same(item, one))),
  has_key: (value, asked) => isObject(value) && Object.hasOwn(value, asked),
  count: (value, asked) =>
    (Array.isArray(value) && value.length === asked) ||
    (isObject(value) && Object.keys(value).length === asked),
  type: (value, asked) => TYPES[asked](value),
  at_least: (value, asked) => typeof value === "number" && value >= asked,
  not: (value, asked) => !matches(value, asked),
  all: (value, asked) => asked.every((one) => matches(value, one)),
};
const STEP_WORDS = ["do", "on", "args", "as", "expect", "error", "thread", "eventually"];
const ERROR_WORDS = ["type", "status", "code", "hint", "message"];

/** A step did not end as the case says. */
class Mismatch extends Error {}

function matches(value, matcher) {
  if (isObject(matcher)) {
    const words = Object.keys(matcher);
    if (words.length === 1 && Object.hasOwn(MATCHERS, words[0])) {
      return MATCHERS[words[0]](value ?? null, matcher[words[0]]);
    }
  }
  return same(value, matcher);
}

/** What stands at `a.b.0` of an answer, null if nothing does. A key may itself have dots. */
function field(answer, path) {
  if (typeof answer !== "object" || answer === null) return null;
  if (Object.hasOwn(answer, path)) return answer[path];
  const dot = path.indexOf(".");
  const head = dot === -1 ? path : path.slice(0, dot);
  return dot !== -1 && Object.hasOwn(answer, head) ? field(answer[head], path.slice(dot + 1)) : null;
}

/** One case under way: its names, its threads, what is to be closed at its end. */
class Case {
  #names = new Map(); // The object, and the fields that it answered.
  #bound = [];
  #threads = new Map();
  #failure;

  constructor(steps) {
    this.steps = steps;
  }

  async run() {
    try {
      for (const [index, step] of this.steps.entries()) {
        const unknown = Object.keys(step).filter((word) => !STEP_WORDS.includes(word));
        if (unknown.length > 0) throw new Mismatch(`step ${index + 1} has unknown words: ${unknown}`);
        if (step.thread !== undefined) this.#start(index + 1, step);
        else await this.#step(index + 1, step);
        if (this.#failure) throw this.#failure;
      }
    } finally {
      await Promise.all(this.#threads.values());
      for (const made of this.#bound.reverse()) await end(made);
    }
    if (this.#failure) throw this.#failure;
  }

  /** A thread is a chain of promises here. */
  #start(number, step) {
    const before = this.#threads.get(step.thread) ?? Promise.resolve();
    const after = before
      .then(() => this.#step(number, step))
      .catch((failure) => (this.#failure ??= failure));
    this.#threads.set(step.thread, after);
  }

  async #step(number, step) {
    const until = performance.now() + (step.eventually ?? 0) * 1000;
    for (;;) {
      try {
        return await this.#attempt(step);
      } catch (failure) {
        if (!(failure instanceof Mismatch || failure instanceof PodflareError)) throw failure;
        if (performance.now() >= until) {
          throw new Mismatch(`step ${number}, ${step.do}: ${failure}`, { cause: failure });
        }
      }
      await new Promise((later) => setTimeout(later, 50));
    }
  }

  async #attempt(step) {
    const given = this.#filled(step.args ?? {});
    if (step.do === "join") return this.#threads.get(given.thread);
    const on = step.on === undefined ? undefined : this.#object(step.on);
    let made;
    let answer;
    try {
      [made, answer] = await carryOut(step.do, on, given);
    } catch (error) {
      if (!(error instanceof PodflareError) || step.error === undefined) throw error;
      return this.#checkError(error, this.#filled(step.error));
    }
    if (made !== undefined) this.#bound.push(made); // Named or not, it is to be closed.
    if (step.error !== undefined) {
      throw new Mismatch(`it should fail with ${short(step.error)}, and answered ${short(answer)}`);
    }
    if (step.as !== undefined) this.#names.set(step.as, [made, answer]);
    for (const [path, matcher] of Object.entries(this.#filled(step.expect ?? {}))) {
      const value = field(answer, path);
      if (!matches(value, matcher)) {
        throw new Mismatch(`${path} is ${short(value)}, not ${short(matcher)}; all: ${short(answer)}`);
      }
    }
    return undefined;
  }

  #checkError(error, expected) {
    const unknown = Object.keys(expected).filter((word) => !ERROR_WORDS.includes(word));
    if (unknown.length > 0) throw new Mismatch(`unknown words of an error: ${unknown}`);
    const kind = podflare[expected.type];
    if (kind === undefined || !(error instanceof kind)) {
      throw new Mismatch(`it is a ${error.name}, not a ${expected.type}: ${error}`);
    }
    for (const word of ERROR_WORDS.slice(1)) {
      const said = word === "message" ? error.sentence : error[word];
      if (word in expected && !matches(said, expected[word])) {
        throw new Mismatch(`${word} is ${short(said)}, not ${short(expected[word])}: ${error}`);
      }
    }
  }

  #object(name) {
    const [head, place] = name.split(".");
    if (!this.#names.has(head)) throw new Mismatch(`nothing is named ${head}`);
    const [made] = this.#names.get(head);
    return place === undefined ? made : made[Number(place)];
  }

  #filled(value) {
    if (typeof value === "string") {
      return value.replace(/\$\{([^}]+)\}/g, (_, path) => this.#value(path));
    }
    if (Array.isArray(value)) return value.map((one) => this.#filled(one));
    if (!isObject(value)) return value;
    if (isDeepStrictEqual(Object.keys(value).sort(), ["repeat", "times"])) {
      return value.repeat.repeat(value.times);
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [this.#filled(key), this.#filled(one)]),
    );
  }

  #value(path) {
    const dot = path.indexOf(".");
    const name = dot === -1 ? path : path.slice(0, dot);
    if (!this.#names.has(name)) throw new Mismatch(`nothing is named ${name}`);
    return String(field(this.#names.get(name)[1], dot === -1 ? "id" : path.slice(dot + 1)));
  }
}

function short(value) {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= 400 ? text : `${text.slice(0, 200)} … ${text.slice(-150)}`;
}

const { values, positionals } = parseArgs({
  options: { cases: { type: "string" } },
  allowPositionals: true,
});
const folder =
  values.cases ?? fileURLToPath(new URL("../../conformance/cases", import.meta.url));
let passed = 0;
let failed = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
  for (const one of JSON.parse(readFileSync(join(folder, file), "utf8")).cases) {
    const name = `typescript ${file.replace(/\.json$/, "")}: ${one.name}`;
    if (positionals.length > 0 && !positionals.some((pattern) => name.includes(pattern))) continue;
    const began = performance.now();
    try {
      await new Case(one.steps).run();
      passed++;
      console.log(`passed ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    } catch (failure) {
      failed++;
      console.log(`FAILED ${name}: ${failure instanceof Mismatch ? failure.message : failure.stack}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
