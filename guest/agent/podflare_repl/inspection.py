"""`name?` and `name??`: what there is to know of a value, on standard output."""

from __future__ import annotations

import inspect
import re
from typing import Any

_LONGEST = 1000


def tell(expression: str, names: dict[str, Any], source: bool) -> None:
    expression = expression.strip()
    if "*" in expression:
        _list_matching(expression, names)
        return
    try:
        value = _value(expression, names)
    except Exception:
        print(f"Object `{expression}` not found.")
        return
    print("\n".join(_lines(expression, value, source)))


def _value(expression: str, names: dict[str, Any]) -> Any:
    import builtins

    if re.fullmatch(r"%{1,2}\w+", expression):
        raise LookupError(expression)  # magics have no text of their own
    return eval(expression, {**builtins.__dict__, **names})


def _lines(expression: str, value: Any, source: bool) -> list[str]:
    lines = []
    if callable(value):
        signature = _try(lambda: str(inspect.signature(value)))
        if signature is not None:
            name = _try(lambda: str(value.__name__)) or expression
            kind = "Init signature" if issubclass(type(value), type) else "Signature"
            lines.append(f"{kind}: {name}{signature}")
    else:
        text = _try(lambda: repr(value)) or "<its repr raises>"
        cut = text[:_LONGEST] + "…" * (len(text) > _LONGEST)
        lines += [f"Type:        {type(value).__name__}", f"String form: {cut}"]
        length = _try(lambda: len(value))
        if length is not None:
            lines.append(f"Length:      {length}")
    code = _try(lambda: inspect.getsource(value)) if source else None
    document = _try(lambda: inspect.getdoc(value))
    if code is not None:
        lines.append(f"Source:\n{code.rstrip()}")
    elif document:
        lines.append(f"Docstring:\n{document}")
    file = _try(lambda: inspect.getfile(value))
    if file is not None:
        lines.append(f"File:        {file}")
    if callable(value):
        lines.append(f"Type:        {type(value).__name__}")
    return lines


def _try(ask: Any) -> Any:
    try:
        return ask()
    except Exception:
        return None


def _list_matching(pattern: str, names: dict[str, Any]) -> None:
    """`os.*dir*?`"""
    import fnmatch

    owner, dot, last = pattern.rpartition(".")
    try:
        found = dir(_value(owner, names)) if dot else list(names)
    except Exception:
        found = []
    for name in sorted(fnmatch.filter(found, last)):
        print(f"{owner}{dot}{name}")
