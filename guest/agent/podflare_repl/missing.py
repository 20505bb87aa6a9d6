"""What to do about a module that is not there: one line, behind the exception's own."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from typing import NamedTuple

from podflare_repl import pypi_names, reach

# Bound now, as the code may put anything under these names.
_find_spec, _scandir, _getcwd = find_spec, os.scandir, os.getcwd

_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_MAX_NAME = 100
_MAX_CHAIN = 10
_MAX_FOLDERS = 200
_OWN_FOLDERS = ("/usr/", "/lib/", "/run/podflare")


class Advice(NamedTuple):
    """`distribution` is what pip can be asked for; None if it is not pip that helps."""

    text: str
    distribution: str | None


def explain(error: BaseException) -> str | None:
    """Adds the line to an exception because of a module that is missing, as its note, and returns
    it. Never raises."""
    try:
        missing = cause(error)
        advice = None if missing is None else advise(missing)
        if advice is None:
            return None
        text = advice.text
        if advice.distribution is not None:
            text = f"{text}{_how(advice.distribution)}"
        error.add_note(text)
        return text
    except BaseException:
        return None  # finders of the code's own may raise anything


def advise(name: str) -> Advice | None:
    """What helps against the missing of a module; None where nothing is certain enough."""
    if len(name) > _MAX_NAME or not _MODULE.fullmatch(name):
        return None
    top = name.partition(".")[0]
    for known in (name, top):
        if known in pypi_names.GONE:
            return Advice(f"Hint: there is no {known} here: {pypi_names.GONE[known]}.", None)
    if top in sys.stdlib_module_names and "." not in name:
        return Advice(f"Hint: {top} is a part of Python that this sandbox does not have.", None)
    if "." in name:
        hiding = _hides(top)
        if hiding is not None:
            return Advice(
                f"Hint: {top} was imported from {hiding}, a file that hides the package of this"
                " name; give it another name.", None)
        if looked_for(name) == top and is_there(top):
            return None  # another version of what is installed, or a slip
    if top not in pypi_names.CALLED:
        meant = None if top in pypi_names.RESEMBLING else _meant(top)
        if meant is not None:
            return Advice(
                f"Hint: did you mean {meant}? It is there. A package that is called {top} on PyPI"
                f" is brought by `pip install {pypi_names.of(top)}`.", None)
        file = _own_file(top)
        if file is not None:
            return Advice(
                f"Hint: there is {file}, in a folder in which Python does not look;"
                f" sys.path.append({os.path.dirname(file)!r}) makes it importable.", None)
    if top in pypi_names.OWN or top.startswith("_"):
        return Advice(
            f"Hint: {top} looks like a file of your own; there is no {top}.py in {_here()} or"
            " another folder of sys.path.", None)
    distribution = pypi_names.of(name)
    if distribution.lower() == top.lower():
        return Advice("Hint: ", distribution)
    return Advice(f"Hint: {name} is called {distribution} on PyPI; ", distribution)


def _how(distribution: str) -> str:
    reachable = reach.of_host(reach.index_host(dict(os.environ)))
    if reachable:
        return f"`pip install {distribution}` works here: run it in bash, or as %pip in a cell."
    if reachable is None:
        return f"`pip install {distribution}` may bring it; the name server has not answered yet."
    return (f"this sandbox has no network to install {distribution} from; use what is installed, or"
            " upload a wheel.")


def cause(error: BaseException) -> str | None:
    """The name of the module that was missing: by the exception itself, or, where a library has
    made one of its own out of it, by what that came from."""
    seen: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if not isinstance(seen, ImportError):
            return None
        if isinstance(seen, ModuleNotFoundError) and isinstance(seen.name, str):
            return seen.name if _raised_by_import(seen) else None
        seen = seen.__cause__ or seen.__context__
    return None


def _raised_by_import(error: ModuleNotFoundError) -> bool:
    return str(error).startswith(f"No module named {error.name!r}")


def looked_for(name: str) -> str:
    """The part of a module's name that is a package of its own on PyPI: the first, or, of those
    that many packages share, more."""
    part = name
    while "." in part and part not in pypi_names.CALLED:
        part = part.rpartition(".")[0]
    return part


def is_there(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return _find_spec(module) is not None
    except Exception:
        return False  # the finders may be the code's own


def _hides(top: str) -> str | None:
    """The user's file that is imported under a name, if it is no package that could have parts."""
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None)
    if module is None or hasattr(module, "__path__") or not isinstance(file, str):
        return None
    file = os.path.abspath(file)
    return None if file.startswith(_OWN_FOLDERS) or "-packages/" in file else file


def _meant(top: str) -> str | None:
    """A module of Python itself, or one that is installed, whose name is a slip away. A number at
    the end or a prefix makes another name on purpose."""
    if len(top) < 4 or top[-1].isdigit():
        return None
    known = sys.stdlib_module_names | pypi_names.CALLED.keys() | _installed()
    lower = top.lower()
    for name in sorted(known):
        if name.startswith("_") or name == top:
            continue
        if (name.lower() == lower or _one_slip(lower, name.lower())) and is_there(name):
            return name
    return None


def _one_slip(typed: str, meant: str) -> bool:
    """Whether a letter was left out, doubled or changed, or two have changed places."""
    if len(meant) < 4 or abs(len(typed) - len(meant)) > 1:
        return False
    at = 0
    while at < min(len(typed), len(meant)) and typed[at] == meant[at]:
        at += 1
    return (
        typed[at + 1:] == meant[at + 1:] or typed[at:] == meant[at + 1:]
        # An s at the end makes another name.
        or typed[at + 1:] == meant[at:] and typed[at] != "s"
        or typed[at:at + 2] == meant[at:at + 2][::-1] and typed[at + 2:] == meant[at + 2:])


def _installed() -> frozenset[str]:
    names = set()
    for folder in sys.path:
        if not folder.endswith("-packages"):
            continue
        try:
            with _scandir(folder) as entries:
                names.update(entry.name.partition(".")[0] for entry in entries)
        except OSError:
            continue
    return frozenset(name for name in names if name.isidentifier())


def _own_file(top: str) -> str | None:
    """The user's module of that name, one folder further down than Python looks."""
    here = _here()
    try:
        with _scandir(here) as entries:
            for _, entry in zip(range(_MAX_FOLDERS), entries):
                for file in (f"{entry.path}/{top}.py", f"{entry.path}/{top}/__init__.py"):
                    if entry.is_dir(follow_symlinks=False) and os.path.isfile(file):
                        return file.removesuffix("/__init__.py")
    except OSError:
        return None
    return None


def _here() -> str:
    try:
        return _getcwd()
    except OSError:
        return "the current directory"
