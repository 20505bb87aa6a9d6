#!/usr/bin/python3
"""The first agent: a model with one tool, `run_python`, that runs in a sandbox.

    ANTHROPIC_API_KEY=… examples/tutorial_loop.py "What is the 1000th prime?"

Without a key: examples/recorded tutorial examples/tutorial_loop.py
Prints what the model ran, what came back, and its answer.
"""

from __future__ import annotations

import sys

from model import MODEL, connect, one_line_errors

from podflare import Sandbox

RUN_PYTHON = {
    "name": "run_python",
    "description": "Run Python in a persistent sandbox: variables stay from call to call. Print what you want to see.",
    "input_schema": {
        "type": "object",
        "properties": {"code": {"type": "string"}},
        "required": ["code"],
    },
}


def main(question: str) -> None:
    client = connect("tutorial")
    messages: list[dict[str, object]] = [{"role": "user", "content": question}]
    with Sandbox() as sandbox:
        while True:
            response = client.messages.create(
                model=MODEL, max_tokens=4096, tools=[RUN_PYTHON], messages=messages
            )
            messages.append({"role": "assistant", "content": response.content})
            results = []
            for block in response.content:
                if block.type == "text":
                    print(block.text)
                elif block.type == "tool_use":
                    ran = sandbox.run_code(block.input["code"], timeout=300)
                    print(f">>> {block.input['code']}\n{ran.stdout}{ran.stderr}", end="")
                    results.append(
                        {
                            "type": "tool_result",
                            "tool_use_id": block.id,
                            "content": f"{ran.stdout}{ran.stderr}",
                            "is_error": ran.exit_code != 0,
                        }
                    )
            if not results:
                return
            messages.append({"role": "user", "content": results})


if __name__ == "__main__":
    with one_line_errors():
        main(" ".join(sys.argv[1:]) or "What is 6 times 7?")
