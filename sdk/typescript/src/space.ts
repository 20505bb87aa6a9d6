/** A Space: a sandbox that was frozen to the server's disk. */

import { get, makeOnce, space as spacePath } from "./calls.js";
import { CALL_OPTIONS, SERVER_OPTIONS, clientFor } from "./client.js";
import type { CallOptions, Client, ServerOptions } from "./client.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import { record } from "./results.js";
import type { SpaceInfo } from "./results.js";
import { Sandbox, createdId } from "./sandbox.js";

/** How a Space is resumed. */
type ResumeOptions = CallOptions & { idempotencyKey?: string | undefined };

const RESUME_OPTIONS: Names<ResumeOptions> = { ...CALL_OPTIONS, idempotencyKey: true };
const FIND_OPTIONS: Names<ServerOptions & CallOptions> = { ...SERVER_OPTIONS, ...CALL_OPTIONS };

/**
 * A frozen sandbox: its memory, disk and processes, kept on disk until it is deleted. Made by
 * `Sandbox.freeze`. It can be resumed any number of times; each time gives a sandbox of its own.
 */
export class Space {
  readonly #client: Client;

  /** @internal */
  constructor(
    /** `spc_` and 32 hexadecimal digits. */
    readonly id: string,
    client: Client,
  ) {
    this.#client = client;
  }

  /** The Space with this id. Throws `NotFoundError` when there is none. */
  static async get(id: string, options: ServerOptions & CallOptions = {}): Promise<Space> {
    refuseUnknown("Space.get", options, FIND_OPTIONS);
    const found = new Space(id, clientFor(options));
    await found.info(call(options));
    return found;
  }

  /** All Spaces of this key, oldest first. */
  static async list(options: ServerOptions & CallOptions = {}): Promise<Space[]> {
    refuseUnknown("Space.list", options, FIND_OPTIONS);
    const client = clientFor(options);
    const answer = await client.json(get("/v1/spaces"), call(options));
    return ((answer["spaces"] ?? []) as { id: string }[]).map((one) => new Space(one.id, client));
  }

  /** What the server knows about it: whose it was, its size on disk, when it was frozen. */
  async info(options: CallOptions = {}): Promise<SpaceInfo> {
    refuseUnknown("info", options, CALL_OPTIONS);
    return record<SpaceInfo>(await this.#client.json(get(spacePath(this.id)), call(options)));
  }

  /**
   * Wakes a sandbox from it, which goes on where the frozen one stopped. The Space stays.
   *
   * Throws `ConflictError` when it is damaged or does not fit this host any more, and
   * `CapacityError` when the host has no room.
   */
  async resume(options: ResumeOptions = {}): Promise<Sandbox> {
    refuseUnknown("resume", options, RESUME_OPTIONS);
    const asked = makeOnce(spacePath(this.id, "/resume"), {}, options.idempotencyKey);
    const answer = await this.#client.json(asked, call(options));
    return Sandbox.known(createdId(answer), this.#client, options.traceparent);
  }

  /** Frees its disk. Sandboxes that were resumed from it live on; again does nothing. */
  async delete(options: CallOptions = {}): Promise<void> {
    refuseUnknown("delete", options, CALL_OPTIONS);
    const asked = { method: "DELETE" as const, target: spacePath(this.id), repeatable: true };
    await this.#client.json(asked, call(options));
  }
}

function call(options: CallOptions): CallOptions {
  return { signal: options.signal, traceparent: options.traceparent };
}
