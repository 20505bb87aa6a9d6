/**
 * Where the server is and which key opens it: the first one found wins.
 *
 * Host and key are looked up each on its own: the argument, then the environment
 * (`PODFLARE_HOSTD_URL`, its older name `PODFLARE_HOST`, and `PODFLARE_API_KEY`), then the file
 * `podflare/config.json` below `$XDG_CONFIG_HOME` (`~/.config`) that a server writes on its machine.
 * One exception, for safety: the key in that file opens the server which wrote it, so it is never
 * sent to another host.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import process from "node:process";

import { AuthenticationError, InvalidRequestError, PodflareError } from "./errors.js";

export const DEFAULT_HOST = "http://127.0.0.1:7070";
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];
const LARGEST_FILE = 65536;

/** The resolved configuration of one client. */
export interface Settings {
  readonly host: string;
  readonly apiKey: string | undefined;
  readonly keySource: string;
  readonly traceparent: string | undefined;
}

type Environment = Record<string, string | undefined>;

/** Finds host and key. */
export function resolve(
  given: { host?: string | undefined; apiKey?: string | undefined; traceparent?: string | undefined },
  env: Environment = process.env,
): Settings {
  const askedHost = given.host || env["PODFLARE_HOSTD_URL"] || env["PODFLARE_HOST"];
  let key = given.apiKey || env["PODFLARE_API_KEY"] || undefined;
  let source = given.apiKey ? "the apiKey argument" : "PODFLARE_API_KEY";
  let host = askedHost ? normalHost(askedHost) : undefined;
  if (host === undefined || key === undefined) {
    const path = credentialsPath(env);
    const saved = read(path);
    if (host === undefined && saved.host) host = normalHost(saved.host);
    if (key === undefined && saved.apiKey) {
      const savedHost = normalHost(saved.host ?? DEFAULT_HOST);
      if (host === undefined || sameServer(host, savedHost)) [key, source] = [saved.apiKey, path];
    }
    if (host === undefined && key === undefined) {
      throw new AuthenticationError("no Podflare server and no API key are configured", {
        code: "no_api_key",
        hint: howToGetAKey(env),
      });
    }
  }
  if (key !== undefined && !isOneWord(key)) {
    throw new InvalidRequestError(
      `the API key from ${source} has a blank or a character that can't be part of a key`,
      { code: "invalid_api_key", hint: "copy the key again" },
    );
  }
  return {
    host: host ?? DEFAULT_HOST,
    apiKey: key,
    keySource: key === undefined ? "" : source,
    traceparent: validTraceparent(given.traceparent || env["PODFLARE_TRACEPARENT"] || undefined),
  };
}

/** The sentence for somebody who has no key. */
export function howToGetAKey(env: Environment = process.env): string {
  return (
    `on the server's machine \`./podflare up\` writes one to ${credentialsPath(env)}; ` +
    "elsewhere set PODFLARE_HOSTD_URL and PODFLARE_API_KEY, or pass host and apiKey"
  );
}

/** Where the server on this machine leaves its address and first key. */
export function credentialsPath(env: Environment = process.env): string {
  const base = env["XDG_CONFIG_HOME"] ?? "";
  // As the XDG specification says: a relative one is ignored.
  const folder = isAbsolute(base) ? base : join(env["HOME"] || homedir(), ".config");
  return join(folder, "podflare", "config.json");
}

/** The value itself, if it may be a header. */
export function validTraceparent(value: string | undefined): string | undefined {
  if (value !== undefined && !isOneWord(value)) {
    throw new InvalidRequestError(`${JSON.stringify(value)} is no trace context`, {
      code: "invalid_traceparent",
      hint: "a traceparent looks like 00-<32 hex>-<16 hex>-01",
    });
  }
  return value;
}

/** `scheme://name:port/prefix` without a trailing slash; a bare `name:port` means http. */
export function normalHost(host: string): string {
  const asked = host.trim();
  const url = asked.includes("://") ? asked : `http://${asked}`;
  const parts = isOneWord(url) && URL.canParse(url) ? new URL(url) : undefined;
  const valid =
    parts !== undefined &&
    (parts.protocol === "http:" || parts.protocol === "https:") &&
    parts.hostname !== "" &&
    parts.port !== "0" &&
    !parts.username &&
    !parts.password &&
    !url.includes("?") &&
    !url.includes("#");
  if (!valid) {
    throw new InvalidRequestError(`${JSON.stringify(host)} is not the address of a server`, {
      code: "invalid_host",
      hint: "write it like http://127.0.0.1:7070",
    });
  }
  return url.replace(/\/+$/, "");
}

function isOneWord(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

function sameServer(one: string, other: string): boolean {
  const [a, b] = [new URL(one), new URL(other)];
  if (a.protocol !== b.protocol || a.port !== b.port || a.pathname !== b.pathname) return false;
  return a.hostname === b.hostname || (LOOPBACK.includes(a.hostname) && LOOPBACK.includes(b.hostname));
}

function read(path: string): { host?: string | undefined; apiKey?: string | undefined } {
  let saved: unknown;
  try {
    saved = JSON.parse(readFileSync(path, "utf8").slice(0, LARGEST_FILE));
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === "ENOENT" || code === "ENOTDIR") return {};
    throw new PodflareError(`can't read the credentials in ${path}: ${(error as Error).message}`, {
      code: "unreadable_config",
      hint: "mend or remove the file, or set PODFLARE_HOSTD_URL and PODFLARE_API_KEY",
      cause: error,
    });
  }
  if (typeof saved !== "object" || saved === null) return {};
  const { host, api_key: apiKey } = saved as Record<string, unknown>;
  return {
    host: typeof host === "string" && host !== "" ? host : undefined,
    apiKey: typeof apiKey === "string" && apiKey !== "" ? apiKey : undefined,
  };
}
