"""How these examples reach a model, and how they say that something failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    from anthropic import Anthropic, APIError
except ImportError:
    from small_client import Anthropic, APIError

sys.path.append(str(Path(__file__).resolve().parents[1] / "sdk" / "python" / "src"))
from podflare import PodflareError  # noqa: E402

MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-sonnet-4-5")


def connect(recording: str) -> Anthropic:
    """A client of Anthropic's API. Without a key it says how to go on, before anything is created."""
    if not os.environ.get("ANTHROPIC_API_KEY"):
        program = os.path.relpath(sys.argv[0])
        raise SystemExit(
            f"{program}: set ANTHROPIC_API_KEY to a key of Anthropic's API,"
            f" or see it with a recorded model: examples/recorded {recording} {program}"
        )
    return Anthropic()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a person can act on is one line; anything else is a defect, and keeps its traceback."""
    try:
        yield
    except (PodflareError, APIError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
