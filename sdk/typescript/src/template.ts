/** A template: what sandboxes are cloned from. */

import { get, part, post } from "./calls.js";
import { CALL_OPTIONS, SERVER_OPTIONS, clientFor } from "./client.js";
import type { CallOptions, Client, ServerOptions } from "./client.js";
import { NotFoundError, PodflareError } from "./errors.js";
import { EventDecoder, Transcript, tell } from "./events.js";
import type { Listeners } from "./events.js";
import { outcomeUnknown } from "./failures.js";
import { refuseUnknown } from "./options.js";
import type { Names } from "./options.js";
import { record } from "./results.js";
import type { Event, ExecResult, TemplateInfo } from "./results.js";

export interface BuildOptions extends ServerOptions, CallOptions, Listeners {
  /** The template that it starts from; `default` by default. */
  from?: string | undefined;
  /** A bash script that is run as root, with the internet. */
  script?: string | undefined;
  /** Packages of the guest's distribution. */
  packages?: readonly string[] | undefined;
  /** Python that is run last in the process, so that its imports are there from the start. */
  warm?: string | undefined;
  /** How long all of it may take; the server's default is 1800. */
  timeoutSeconds?: number | undefined;
}

const BUILD_OPTIONS: Names<BuildOptions> = {
  ...SERVER_OPTIONS,
  ...CALL_OPTIONS,
  from: true,
  script: true,
  packages: true,
  warm: true,
  timeoutSeconds: true,
  onStdout: true,
  onStderr: true,
  onResult: true,
};

const LIST_OPTIONS: Names<ServerOptions & CallOptions> = { ...SERVER_OPTIONS, ...CALL_OPTIONS };

/** A template's build that failed; `result` has all that it said. */
export class TemplateBuildError extends PodflareError {
  constructor(
    message: string,
    readonly result: ExecResult,
  ) {
    super(message, { code: "template_build_failed", hint: "its stdout and stderr say why" });
  }
}

/** A template of this key, or one that is built in. */
export class Template {
  readonly #client: Client;

  private constructor(
    readonly name: string,
    client: Client,
  ) {
    this.#client = client;
  }

  /** All of them, as the server knows them. */
  static async list(options: ServerOptions & CallOptions = {}): Promise<TemplateInfo[]> {
    refuseUnknown("Template.list", options, LIST_OPTIONS);
    const answer = await clientFor(options).json(get("/v1/templates"), how(options));
    return ((answer["templates"] ?? []) as unknown[]).map((one) => record<TemplateInfo>(one));
  }

  /**
   * Builds a template, or the next version of it, and waits until sandboxes can be made from it.
   * Throws `TemplateBuildError` when the script, a package or the warm-up fails.
   */
  static async build(name: string, options: BuildOptions = {}): Promise<Template> {
    const transcript = new Transcript();
    for await (const event of Template.buildStream(name, options)) {
      transcript.add(event);
      await tell(event, options);
    }
    const result = transcript.result();
    if (result.exitCode !== 0) {
      const last = result.stderr.trim().split("\n").at(-1);
      throw new TemplateBuildError(
        `the template ${name} was not built: exit code ${result.exitCode}` + (last ? `, ${last}` : ""),
        result,
      );
    }
    return new Template(name, clientFor(options));
  }

  /** The same as the events of the build as they happen; the last is `exit`, 0 for a success. */
  static async *buildStream(name: string, options: BuildOptions = {}): AsyncGenerator<Event> {
    refuseUnknown("Template.build", options, BUILD_OPTIONS);
    const call = post(
      "/v1/templates",
      {
        name,
        from: options.from,
        script: options.script,
        packages: options.packages,
        warm: options.warm,
        timeout_seconds: options.timeoutSeconds,
      },
      { patient: true },
    );
    const answer = await clientFor(options).send(call, how(options));
    const decoder = new EventDecoder();
    try {
      while (!decoder.finished) {
        const data = await answer.next();
        if (data === undefined) throw outcomeUnknown("the answer ended before the exit event");
        yield* decoder.feed(data);
      }
      await answer.finish();
    } finally {
      answer.close();
    }
  }

  /** The template with this name; no call is made. */
  static named(name: string, options: ServerOptions = {}): Template {
    refuseUnknown("Template.named", options, SERVER_OPTIONS);
    return new Template(name, clientFor(options));
  }

  /** What the server knows about it now. */
  async info(options: CallOptions = {}): Promise<TemplateInfo> {
    refuseUnknown("info", options, CALL_OPTIONS);
    const all = await Template.list({ client: this.#client, ...options });
    const found = all.find((one) => one.name === this.name);
    if (found === undefined) {
      throw new NotFoundError(`the server does not list the template ${this.name}`, {
        code: "template_not_found",
      });
    }
    return found;
  }

  /** Deletes it; sandboxes that were made from it live on. */
  async delete(options: CallOptions = {}): Promise<void> {
    refuseUnknown("delete", options, CALL_OPTIONS);
    const target = `/v1/templates/${part(this.name)}`;
    await this.#client.json({ method: "DELETE", target }, how(options));
  }
}

function how(options: CallOptions): CallOptions {
  return { signal: options.signal, traceparent: options.traceparent };
}
