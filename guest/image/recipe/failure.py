"""What stops a build: told to the operator as one message, without a stack trace."""


class BuildFailure(Exception):
    """Its text says what happened, why, and what to do next."""
