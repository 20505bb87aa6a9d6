#!/usr/bin/python3
"""The second agent: `code_execution` calls, answered by the helper in the form that the provider's own tool has.

    ANTHROPIC_API_KEY=… examples/code_execution_loop.py "What is the 1000th prime?"

Without a key: examples/recorded code_execution examples/code_execution_loop.py
The live API runs its own `code_execution_2025…` itself and never asks for it, so the tool is declared as one of ours here.
"""

from __future__ import annotations

import sys

from model import MODEL, connect, one_line_errors

from podflare import Sandbox
from podflare.integrations.anthropic import handle_code_execution_tool_use

CODE_EXECUTION = {
    "name": "code_execution",
    "description": "Run Python in a persistent sandbox: variables stay from call to call.",
    "input_schema": {
        "type": "object",
        "properties": {"code": {"type": "string"}},
        "required": ["code"],
    },
}


def main(question: str) -> None:
    client = connect("code_execution")
    messages: list[dict[str, object]] = [{"role": "user", "content": question}]
    with Sandbox() as sandbox:
        while True:
            response = client.messages.create(
                model=MODEL, max_tokens=4096, tools=[CODE_EXECUTION], messages=messages
            )
            messages.append({"role": "assistant", "content": response.content})
            for block in response.content:
                if block.type == "text":
                    print(block.text)
            results = [
                handle_code_execution_tool_use(block, sandbox)
                for block in response.content
                if block.type == "tool_use"
            ]
            if not results:
                return
            for result in results:
                print(result["content"][0]["text"])
            messages.append({"role": "user", "content": results})


if __name__ == "__main__":
    with one_line_errors():
        main(" ".join(sys.argv[1:]) or "What is 6 times 7?")
