// Connects as the official client does, calls a tool, and prints what came of it as JSON.
// node talk.mjs auto|legacy stdio COMMAND [ARGUMENT]...
// node talk.mjs auto|legacy http URL, with the key in $PODFLARE_API_KEY
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [mode, way, target, ...rest] = process.argv.slice(2);
const transport =
  way === "stdio"
    ? new StdioClientTransport({ command: target, args: rest, env: process.env })
    : new StreamableHTTPClientTransport(new URL(target), {
        requestInit: { headers: { Authorization: `Bearer ${process.env.PODFLARE_API_KEY}` } },
      });
const client = new Client({ name: "e2e", version: "1" }, { versionNegotiation: { mode } });
await client.connect(transport);
const { tools } = await client.listTools();
const run = (args) => client.callTool({ name: "run_python", arguments: args });
const first = await run({ code: "x = 20" });
const sandbox = first._meta["dev.podflare/facts"].sandbox_id;
const second = await run({ code: "x + 22", sandbox_id: sandbox });
console.log(
  JSON.stringify({
    version: client.getNegotiatedProtocolVersion(),
    tools: tools.map((tool) => tool.name),
    sandbox,
    answer: second.content[0].text,
  }),
);
await client.close();
