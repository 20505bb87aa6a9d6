/**
 * A WebSocket to the server: the runtime's own where there is one, else a minimal RFC 6455 client
 * over `node:http` (Node 20 has none).
 */

import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

import { ServerError, errorFromAnswer } from "./errors.js";
import type { PodflareError } from "./errors.js";
import { cutOff, unreachable } from "./failures.js";
import type { Transport } from "./transport.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const LARGEST_MESSAGE = 16 * 1024 * 1024;
const LONGEST_ERROR = 64 * 1024;
const CLOSE_MS = 2_000;

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** What a WebSocket tells. After `onClose` nothing more comes. */
export interface SocketListener {
  onText(text: string): void;
  onBytes(bytes: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

/** An open WebSocket. */
export interface Socket {
  send(message: string | Uint8Array): void;
  close(): void;
}

/** What of the global `WebSocket` is used here. */
interface WebSocketLike {
  binaryType: string;
  send(message: string | Uint8Array): void;
  close(code?: number): void;
  addEventListener(type: string, listener: (event: never) => void): void;
}
type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/**
 * Opens a WebSocket. `refused` asks for the reason of a refusal, since the global WebSocket tells
 * none.
 */
export async function openSocket(
  transport: Transport,
  target: string,
  apiKey: string | undefined,
  listener: SocketListener,
  refused: () => Promise<PodflareError | undefined>,
): Promise<Socket> {
  const Global = (globalThis as { WebSocket?: WebSocketClass }).WebSocket;
  // A subprotocol is a token of HTTP; a key with other characters can only be a header.
  const isToken = apiKey === undefined || /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(apiKey);
  return Global !== undefined && isToken
    ? viaGlobal(Global, transport, target, apiKey, listener, refused)
    : viaHttp(transport, target, listener);
}

function viaGlobal(
  Global: WebSocketClass,
  transport: Transport,
  target: string,
  apiKey: string | undefined,
  listener: SocketListener,
  refused: () => Promise<PodflareError | undefined>,
): Promise<Socket> {
  const url = transport.host.replace(/^http/, "ws") + target;
  const protocols = ["podflare", ...(apiKey === undefined ? [] : [`podflare.bearer.${apiKey}`])];
  const socket = new Global(url, protocols);
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
      resolve({
        send: (message) => socket.send(message),
        close: () => socket.close(1000),
      });
    });
    socket.addEventListener("message", ({ data }: { data: string | ArrayBuffer }) => {
      if (typeof data === "string") listener.onText(data);
      else listener.onBytes(new Uint8Array(data));
    });
    socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) => {
      if (opened) {
        listener.onClose(code, reason);
        return;
      }
      refused().then(
        (why) => reject(why ?? cutOff(transport.host, "it opened no WebSocket")),
        reject,
      );
    });
    socket.addEventListener("error", () => {}); // A close event always follows, and is handled.
  });
}

/** The client for runtimes without a WebSocket of their own. */
export function viaHttp(
  transport: Transport,
  target: string,
  listener: SocketListener,
): Promise<Socket> {
  const key = randomBytes(16).toString("base64");
  const request = transport.upgrade(target, {
    ...transport.headers,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Protocol": "podflare",
  });
  return new Promise((resolve, reject) => {
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", (cause) => reject(unreachable(transport.host, cause)));
    request.on("response", (response) => {
      readError(response).then((body) => {
        reject(errorFromAnswer(response.statusCode ?? 0, response.headers, body));
        request.destroy();
      }, reject);
    });
    request.on("upgrade", (response: IncomingMessage, stream: Duplex, first: Buffer) => {
      const expected = createHash("sha1").update(key + GUID).digest("base64");
      if (response.headers["sec-websocket-accept"] !== expected) {
        stream.destroy();
        reject(new ServerError("the answer is no WebSocket", { code: "bad_answer" }));
        return;
      }
      const connection = new Connection(stream, listener);
      resolve(connection);
      // After the caller has its socket: a listener may answer at once.
      queueMicrotask(() => connection.begin(first));
    });
    request.end();
  });
}

async function readError(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size > LONGEST_ERROR) break;
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** RFC 6455, the client's side. */
class Connection implements Socket {
  #buffer: Buffer = Buffer.alloc(0);
  #message: Buffer[] = [];
  #messageSize = 0;
  #messageType = 0;
  #sentClose = false;
  #over = false;

  constructor(
    readonly stream: Duplex,
    readonly listener: SocketListener,
  ) {}

  begin(first: Buffer): void {
    const { stream } = this;
    (stream as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
    (stream as { setTimeout?: (ms: number) => void }).setTimeout?.(0);
    stream.on("data", (data: Buffer) => this.#feed(data));
    stream.on("error", () => this.#end(1006, "the connection broke"));
    stream.on("end", () => this.#end(1006, "the connection was closed"));
    stream.on("close", () => this.#end(1006, "the connection was closed"));
    if (first.length > 0) this.#feed(first);
  }

  send(message: string | Uint8Array): void {
    if (typeof message === "string") this.#frame(TEXT, Buffer.from(message));
    else this.#frame(BINARY, message);
  }

  close(): void {
    this.#close(1000);
  }

  #close(code: number): void {
    if (this.#sentClose || this.#over) return;
    this.#sentClose = true;
    this.#frame(CLOSE, Buffer.from([code >> 8, code & 255]));
    const late = setTimeout(() => this.stream.destroy(), CLOSE_MS);
    this.stream.once("close", () => clearTimeout(late));
  }

  #frame(type: number, payload: Uint8Array): void {
    if (this.#over || this.stream.destroyed) return;
    const length = payload.length;
    const head =
      length < 126
        ? Buffer.from([0x80 | type, 0x80 | length])
        : length < 65536
          ? Buffer.from([0x80 | type, 0x80 | 126, length >> 8, length & 255])
          : Buffer.concat([Buffer.from([0x80 | type, 0x80 | 127]), size(length)]);
    const mask = randomBytes(4);
    const masked = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) {
      masked[i] = (payload[i] as number) ^ (mask[i & 3] as number);
    }
    this.stream.write(Buffer.concat([head, mask, masked]));
  }

  #feed(data: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? data : Buffer.concat([this.#buffer, data]);
    while (!this.#over) {
      const { length: have } = this.#buffer;
      if (have < 2) return;
      const first = this.#buffer[0] as number;
      const second = this.#buffer[1] as number;
      let length = second & 127;
      let at = 2;
      if (length === 126) {
        if (have < 4) return;
        length = this.#buffer.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (have < 10) return;
        const large = this.#buffer.readBigUInt64BE(2);
        if (large > BigInt(LARGEST_MESSAGE)) return this.#violated(1009, "a frame is too large");
        length = Number(large);
        at = 10;
      }
      if (length > LARGEST_MESSAGE) return this.#violated(1009, "a frame is too large");
      if ((first & 0x70) !== 0 || (second & 0x80) !== 0) {
        return this.#violated(1002, "a frame has bits that no server may set");
      }
      if (have < at + length) return;
      const payload = this.#buffer.subarray(at, at + length);
      this.#buffer = this.#buffer.subarray(at + length);
      this.#received(first & 15, (first & 0x80) !== 0, payload);
    }
  }

  #received(type: number, last: boolean, payload: Buffer): void {
    if (type === PING) return this.#frame(PONG, payload);
    if (type === PONG) return;
    if (type === CLOSE) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#close(code === 1005 ? 1000 : code);
      this.#end(code, payload.subarray(2).toString("utf8"));
      return;
    }
    if (type !== 0) {
      this.#messageType = type;
      this.#message = [];
      this.#messageSize = 0;
    }
    this.#message.push(payload);
    this.#messageSize += payload.length;
    if (this.#messageSize > LARGEST_MESSAGE) return this.#violated(1009, "a message is too large");
    if (!last) return;
    const whole = this.#message.length === 1 ? payload : Buffer.concat(this.#message);
    this.#message = [];
    if (this.#messageType === TEXT) this.listener.onText(whole.toString("utf8"));
    else if (this.#messageType === BINARY) this.listener.onBytes(new Uint8Array(whole));
    else this.#violated(1002, "a frame of a type that does not exist");
  }

  #violated(code: number, reason: string): void {
    this.#close(code);
    this.#end(code, reason);
    this.stream.destroy();
  }

  #end(code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.stream.end();
    this.listener.onClose(code, reason);
  }
}

function size(length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return bytes;
}
