/** What the tests on a real server share. */

import type { TestContext } from "node:test";

import { Sandbox } from "podflare";
import type { SandboxOptions } from "podflare";

/** A sandbox of the server that the environment or the credentials file names; closed at the end. */
export async function liveSandbox(t: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await Sandbox.create({ metadata: { test: "typescript" }, ...options });
  t.after(() => sandbox.close());
  return sandbox;
}
