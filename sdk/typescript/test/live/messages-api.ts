/** `sdk/conformance/messages_api.py`, which replays whole conversations over HTTP. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import Anthropic from "@anthropic-ai/sdk";

import { REPOSITORY } from "../blocks.js";

const CONFORMANCE = join(REPOSITORY, "sdk", "conformance");
const START_DEADLINE_MS = 30_000;
const ANSWER_DEADLINE_MS = 10_000;

export class FakeMessagesApi implements Disposable {
  private constructor(
    readonly folder: string,
    readonly address: string,
    readonly stop: () => void,
  ) {}

  /** Serves the conversations in a folder, each a JSON file. */
  static async start(folder = join(CONFORMANCE, "conversations")): Promise<FakeMessagesApi> {
    const command = [join(CONFORMANCE, "messages_api.py"), folder];
    const child = spawn("/usr/bin/python3", command, { stdio: ["ignore", "pipe", "inherit"] });
    const signal = AbortSignal.timeout(START_DEADLINE_MS);
    try {
      const [address] = (await once(createInterface(child.stdout), "line", { signal })) as [string];
      return new FakeMessagesApi(folder, address, () => child.kill());
    } catch (error) {
      child.kill();
      throw error;
    }
  }

  /** The names of all conversations. */
  names(): string[] {
    return readdirSync(this.folder)
      .filter((file) => file.endsWith(".json"))
      .map((file) => file.replace(".json", ""))
      .sort();
  }

  /** The base address of a client that has this conversation. */
  baseOf(name: string): string {
    return `${this.address}/${name}`;
  }

  client(name: string): Anthropic {
    return new Anthropic({ apiKey: "a-key", baseURL: this.baseOf(name) });
  }

  /** The API refused none of the answers. */
  async assertNoFailures(name: string): Promise<void> {
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const answer = await fetch(`${this.baseOf(name)}/failures`, { signal });
    assert.deepEqual(await answer.json(), []);
  }

  /** Every turn was had, and the API refused none of the answers. */
  async assertHad(name: string, messages: Anthropic.MessageParam[]): Promise<void> {
    await this.assertNoFailures(name);
    const { turns } = JSON.parse(readFileSync(join(this.folder, `${name}.json`), "utf8"));
    assert.equal(messages.filter((one) => one.role === "assistant").length, turns.length);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
