"""What a Podflare sandbox tells the code that runs in it."""

__all__ = ["generation"]

_GENERATION = "/run/podflare/generation"


def generation() -> int:
    """How often this machine was cloned up to now.

    It grows in every fork, and when the machine is resumed from a Space. Code that holds what must
    not exist twice (seeds of its own generators, tokens, file locks, connections) can remember the
    number and make these anew when it has changed. Costs one read of a small file in memory.
    """
    with open(_GENERATION, encoding="ascii") as file:
        return int(file.read())
