#!/usr/bin/python3
"""A code-review agent: uploads a repository to a sandbox, lets a model read it, run it and try its suspicions, prints its review.

    ANTHROPIC_API_KEY=… examples/code_review.py [FOLDER]      # examples/data/shop by default

Without a key: examples/recorded review examples/code_review.py
The sandbox has no network, and the folder here is never written to: what the model changes, it changes in its copy, and
the changes are printed after the review.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

from model import MODEL, connect, one_line_errors

from podflare import Sandbox
from podflare.integrations.anthropic import TOOLS, run_tools

HERE = Path(__file__).resolve().parent
MOST_TURNS = 40
LEFT_OUT = {".git", "node_modules", "target", "__pycache__", ".venv"}
TASK = """Review the code in /root/repo. Read it, run its tests, and try out what you suspect before you claim it.
List each defect with its file and line, how you made sure of it, and how to mend it. Don't list matters of taste."""


def main(folder: Path) -> None:
    client = connect("review")
    messages: list[dict[str, object]] = [{"role": "user", "content": TASK}]
    with Sandbox(egress=False, metadata={"task": "code-review"}) as sandbox:
        upload(sandbox, folder)
        before = sandbox.fork()[0]
        with before:
            for _ in range(MOST_TURNS):
                with client.messages.stream(
                    model=MODEL, max_tokens=8192, tools=TOOLS, messages=messages
                ) as stream:
                    for text in stream.text_stream:
                        print(text, end="", flush=True)
                    message = stream.get_final_message()
                messages.append({"role": "assistant", "content": message.content})
                results = run_tools(message, sandbox, timeout=120)
                if results is not None:
                    messages.append(results)
                elif message.stop_reason != "pause_turn":
                    break
            print()
            changed = before.diff(sandbox, paths=["/root/repo"], text=True, variables=False)
            for path in changed.modified:
                print(changed.details[path].get("text") or path)


def upload(sandbox: Sandbox, folder: Path) -> None:
    """The folder as /root/repo, in one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, "repo", filter=lambda one: None if Path(one.name).name in LEFT_OUT else one)
    sandbox.upload("/root/repo.tar.gz", packed.getvalue())
    unpack = "tar -xzf repo.tar.gz --no-same-owner && rm repo.tar.gz"
    ran = sandbox.run_code(unpack, language="bash")
    if ran.exit_code != 0:
        raise SystemExit(f"the repository could not be unpacked:\n{ran.stderr}")


if __name__ == "__main__":
    with one_line_errors():
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "data" / "shop")
