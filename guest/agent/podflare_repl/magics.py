"""The magics of a notebook: what shell lines, `%name` and `%%name` in a cell become calls of."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple

from podflare_repl import inspection, shell
from podflare_repl.imports import look_anew
from podflare_repl.results import History, Results


class Scope(NamedTuple):
    """Where the magic stands: its code's names, and how many lines of the cell are before it."""

    globals: dict[str, Any]
    locals: dict[str, Any]
    line: int

    @classmethod
    def of(cls, frame: FrameType, line: int) -> Scope:
        return cls(frame.f_globals, frame.f_locals, line)

    @property
    def names(self) -> dict[str, Any]:
        return {**self.globals, **self.locals}


# Runs a part of the cell and returns the value of its last expression.
RunPart = Callable[[str, Scope], Any]
LineMagic = Callable[[str, Scope], Any]
CellMagic = Callable[[str, str, Scope], Any]
# A part of the cell with calls in the place of its magics.
AsPython = Callable[[str], str]

# What changes nothing here, or is so already.
_SILENT = frozenset({
    "matplotlib", "xmode", "colors", "autosave", "pprint", "automagic", "gui",
    "load_ext autoreload", "unload_ext", "pylab inline"})
_ALIASES = frozenset({
    "ls", "ll", "la", "cat", "cp", "mv", "rm", "mkdir", "rmdir", "head", "tail", "touch", "less",
    "more", "man", "grep", "find", "tree", "wc", "du", "df", "ps"})
# Their cells are Python, and run without them.
_OF_PYTHON = frozenset({
    "prun", "memit", "mprun", "lprun", "snakeviz", "pyinstrument", "scalene", "profile", "debug",
    "heat", "notify", "px", "skip_exception", "wandb", "tensorboard", "timer",
    "black", "nb_black", "load_ext", "matplotlib", "config"})
_HELP = {"pinfo": "?", "pinfo2": "??", "psource": "??", "pdoc": "?", "pdef": "?", "pfile": "??"}


class Magics:
    def __init__(
        self, namespace: dict[str, Any], run_part: RunPart, as_python: AsPython, results: Results,
        history: History
    ) -> None:
        self._namespace = namespace
        self._run_part = run_part
        self._as_python = as_python
        self._results = results
        self._history = history
        self._previous_directory: str | None = None
        # Called before each cell, once a magic has put something here.
        self.before_cell: Callable[[], None] | None = None
        self._reloading: Any = None
        self.line: dict[str, LineMagic] = {
            "cd": self._cd, "pwd": lambda line, scope: os.getcwd(), "pip": self._pip,
            "conda": self._conda, "mamba": self._conda, "uv": self._uv,
            "env": self._env, "set_env": self._env, "time": self._time, "timeit": self._timeit,
            "run": self._run_file, "who": self._who, "who_ls": self._who_ls, "whos": self._whos,
            "reset": self._reset, "reset_selective": self._reset_selective, "xdel": self._xdel,
            "history": self._show_history, "hist": self._show_history,
            "lsmagic": self._list_magics, "load_ext": self._load_extension,
            "reload_ext": self._load_extension, "debug": self._no_debugger,
            "pdb": self._no_debugger, "sx": self._output, "system": self._output,
            "prun": self._profile, "autoreload": self._autoreload, "config": self._configure,
            "pycat": lambda line, scope: _quiet(shell.run(f"cat {line}")),
        }
        self.cell: dict[str, CellMagic] = {
            "time": self._time_cell, "timeit": self._timeit_cell, "capture": self._capture,
            "writefile": self._write_file, "file": self._write_file, "script": self._script,
            "!": self._output_of_cell, "sx": self._output_of_cell, "system": self._output_of_cell,
            "html": self._form("text/html"), "HTML": self._form("text/html"),
            "markdown": self._form("text/markdown"), "latex": self._form("text/latex"),
            "svg": self._form("image/svg+xml"), "SVG": self._form("image/svg+xml"),
            "javascript": self._form("application/javascript"),
            "js": self._form("application/javascript"),
        }
        for program in ("bash", "sh", "perl", "ruby", "node", "Rscript", "awk"):
            self.cell[program] = self._program(program)
        for name in ("python", "python3"):
            self.cell[name] = self._program(sys.executable)

    def call(self, kind: str, rest: str, body: str | None = None, line: int = 0) -> Any:
        """What the compiler puts in the place of a magic."""
        scope = Scope.of(sys._getframe(1), line)
        if kind == "!":
            self.run_command(rest, scope)
            return None
        if kind in ("!!", "!="):
            return self.output_of(rest, scope)
        if kind in ("?", "??"):
            inspection.tell(rest, scope.names, source=kind == "??")
            return None
        if body is not None:
            return self.run_cell(kind[2:], rest, body, scope)
        if kind.startswith("%%"):
            _pass_over(f"{kind} works only as the first line of a cell, and was passed over")
            return None
        return self.run_line(kind[1:], rest, scope)

    def expanded(self, text: str, scope: Scope) -> str:
        return shell.expand(text, scope.locals, scope.globals)

    def run_line(self, name: str, line: str, scope: Scope) -> Any:
        magic = self.line.get(name)
        if magic is not None:
            # What is Python already is left as it is.
            if name not in ("time", "timeit", "prun"):
                line = self.expanded(line, scope)
            return magic(line, scope)
        if name in _SILENT or f"{name} {line}" in _SILENT:
            return None
        if name in _ALIASES:
            command = {"ll": "ls -l", "la": "ls -a", "less": "cat", "more": "cat"}.get(name, name)
            shell.run(f"{command} {self.expanded(line, scope)}")
        elif name in _HELP:
            inspection.tell(line, scope.names, source=_HELP[name] == "??")
        else:
            _pass_over(f"%{name} is not known here and was passed over; %lsmagic shows what is")
        return None

    def run_cell(self, name: str, line: str, body: str, scope: Scope) -> Any:
        magic = self.cell.get(name)
        if magic is not None:
            # The setup of %%timeit and the text of others is not for the shell.
            if name not in ("timeit", "time", "html", "markdown", "latex", "svg", "javascript"):
                line = self.expanded(line, scope)
            return magic(line, body, scope)
        if name in _OF_PYTHON or name in _SILENT:
            _pass_over(f"%%{name} is not known here; the cell ran without it")
            return self._run_part(body, scope)
        if name in self.line:
            _pass_over(f"%%{name} is not known here, %{name} is: the cell did not run")
        else:
            _pass_over(f"%%{name} is not known here: the cell did not run; %lsmagic shows what is")
        return None

    # Commands

    def run_command(self, command: str, scope: Scope) -> None:
        shell.run(self.expanded(command, scope))
        self._look_for_new_modules(command)

    def output_of(self, command: str, scope: Scope) -> shell.Lines:
        return self._output(self.expanded(command, scope), scope)

    def _output(self, line: str, scope: Scope) -> shell.Lines:
        output = shell.output_of(line)
        self._look_for_new_modules(line)
        return output

    def _output_of_cell(self, line: str, body: str, scope: Scope) -> Any:
        return self._output(f"{line}\n{body}" if line else body, scope)

    def _look_for_new_modules(self, command: str) -> None:
        if "pip" in command or "uv" in command:
            _find_installed()

    def _pip(self, line: str, scope: Scope) -> None:
        if line.split()[:1] == ["uninstall"] and "-y" not in line.split():
            line += " -y"  # nobody can answer its question
        shell.run(f"{shlex.quote(sys.executable)} -m pip {line}")
        _find_installed()

    def _conda(self, line: str, scope: Scope) -> None:
        print("there is no conda here; %pip install NAME works", file=sys.stderr)
        shell._say(127)

    def _uv(self, line: str, scope: Scope) -> None:
        import shutil

        if shutil.which("uv") is None and line.split()[:1] == ["pip"]:
            self._pip(line.strip().removeprefix("pip").strip(), scope)
        else:
            shell.run(f"uv {line}")
            _find_installed()

    def _script(self, line: str, body: str, scope: Scope) -> None:
        shell.script(line, body, self._namespace)

    def _program(self, program: str) -> CellMagic:
        def run(line: str, body: str, scope: Scope) -> None:
            shell.script(f"{shlex.quote(program)} {line}", body, self._namespace)

        return run

    def _cd(self, line: str, scope: Scope) -> None:
        quiet = "-q" in line.split()
        line = line.strip().removeprefix("-q ").removesuffix(" -q").strip()
        line = "" if line == "-q" else line
        words = _words(line)
        # A name may have spaces and no quotes.
        wanted = words[0] if words else "~"
        if len(words) > 1 and os.path.isdir(os.path.expanduser(line)):
            wanted = line
        if wanted == "-":
            if self._previous_directory is None:
                _pass_over("%cd -: there is no previous directory yet")
                return
            wanted = self._previous_directory
        before = os.getcwd()
        os.chdir(os.path.expanduser(wanted))
        self._previous_directory = before
        if not quiet:
            print(os.getcwd())

    def _env(self, line: str, scope: Scope) -> Any:
        name, equals, value = line.partition("=")
        if not equals:
            name, _, value = line.strip().partition(" ")
            if not value:
                if not name:
                    return dict(os.environ)
                return os.environ.get(name)
        name, value = name.strip(), value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        os.environ[name] = value
        print(f"env: {name}={value}")
        return None

    # Time

    def _time(self, line: str, scope: Scope) -> Any:
        return self._timed(line, scope)

    def _time_cell(self, line: str, body: str, scope: Scope) -> Any:
        return self._timed(f"{line}\n{body}" if line.strip() else body, scope)

    def _timed(self, source: str, scope: Scope) -> Any:
        wall, cpu = perf_counter(), os.times()
        try:
            return self._run_part(source, scope)
        finally:
            wall, then = perf_counter() - wall, os.times()
            user, system = then.user - cpu.user, then.system - cpu.system
            print(f"CPU times: user {_time(user)}, sys: {_time(system)}, "
                  f"total: {_time(user + system)}")
            print(f"Wall time: {_time(wall)}")

    def _timeit(self, line: str, scope: Scope) -> Any:
        return self._measured(line, None, scope)

    def _timeit_cell(self, line: str, body: str, scope: Scope) -> Any:
        return self._measured(line, body, scope)

    def _measured(self, line: str, body: str | None, scope: Scope) -> Any:
        import timeit

        number, repeat = 0, 7
        quiet = wanted = False
        rest = line.strip()
        while rest.startswith("-"):
            option, _, rest = rest.partition(" ")
            rest = rest.lstrip()
            if option[:2] in ("-n", "-r", "-p") and len(option) == 2:
                argument, _, rest = rest.partition(" ")
                option, rest = option + argument, rest.lstrip()
            if option.startswith("-n"):
                number = int(option[2:])
            elif option.startswith("-r"):
                repeat = max(1, int(option[2:]))
            quiet |= option == "-q"
            wanted |= option == "-o"
        statement, setup = (rest, "pass") if body is None else (body, rest or "pass")
        statement, setup = self._as_python(statement), self._as_python(setup)
        timer = timeit.Timer(statement or "pass", setup, globals=scope.names)
        if not number:
            number = 1
            while timer.timeit(number) < 0.2 and number < 10**9:
                number *= 10
        seconds = [each / number for each in timer.repeat(repeat, number)]
        result = _Measurement(seconds, number)
        if not quiet:
            print(result)
        return result if wanted else None

    def _profile(self, line: str, scope: Scope) -> None:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        try:
            profile.runctx(self._as_python(line), scope.globals, scope.locals)
        finally:
            pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(30)

    # Files

    def _write_file(self, line: str, body: str, scope: Scope) -> None:
        words = _words(line)
        append = any(word in ("-a", "--append") for word in words)
        names = [word for word in words if word not in ("-a", "--append")]
        if len(names) != 1:
            raise ValueError("%%writefile needs the name of one file: %%writefile [-a] FILE")
        path = os.path.expanduser(names[0])
        there = os.path.exists(path)
        print(f"{'Appending to' if append and there else 'Overwriting' if there else 'Writing'} "
              f"{names[0]}")
        if body and not body.endswith("\n"):
            body += "\n"
        with open(path, "a" if append else "w", encoding="utf-8") as file:
            file.write(body)

    def _run_file(self, line: str, scope: Scope) -> None:
        from podflare_repl.programs import run_program

        run_program(_words(line), self._namespace, lambda text: self._run_part(text, scope))

    # Names

    def _users_names(self) -> list[str]:
        return sorted(name for name in self._namespace if not name.startswith("_"))

    def _who_ls(self, line: str, scope: Scope) -> list[str]:
        kinds = line.split()
        return [name for name in self._users_names()
                if not kinds or type(self._namespace[name]).__name__ in kinds]

    def _who(self, line: str, scope: Scope) -> None:
        names = self._who_ls(line, scope)
        print("\t".join(names) if names else "Interactive namespace is empty.")

    def _whos(self, line: str, scope: Scope) -> None:
        from podflare_repl.variables import shown

        names = self._who_ls(line, scope)
        if not names:
            print("Interactive namespace is empty.")
            return
        rows = [(name, type(self._namespace[name]).__name__) for name in names]
        width = max(len("Variable"), *(len(name) for name, _ in rows))
        kinds = max(len("Type"), *(len(kind) for _, kind in rows))
        print(f"{'Variable':{width}}   {'Type':{kinds}}   Data/Info")
        print("-" * (width + kinds + 15))
        for name, kind in rows:
            print(f"{name:{width}}   {kind:{kinds}}   {shown(self._namespace[name])}")

    def _reset(self, line: str, scope: Scope) -> None:
        if "-f" not in line.split():
            _pass_over("%reset asks first, and nobody can answer: %reset -f does it")
            return
        for name in list(self._namespace):
            if not (name.startswith("__") and name.endswith("__")):
                del self._namespace[name]
        self._history.forget()

    def _reset_selective(self, line: str, scope: Scope) -> None:
        import re

        pattern = re.compile(" ".join(word for word in line.split() if word != "-f"))
        for name in self._users_names():
            if pattern.search(name):
                del self._namespace[name]

    def _xdel(self, line: str, scope: Scope) -> None:
        self._namespace.pop(line.strip().removeprefix("-n").strip(), None)

    # History and help

    def _show_history(self, line: str, scope: Scope) -> None:
        words = line.split()
        numbered = "-n" in words
        last = len(self._history.inputs) - 1
        chosen: list[int] = []
        for word in words:
            first, _, end = word.partition("-")
            if first.isdecimal():
                to = int(end) if end.isdecimal() else int(first)
                chosen.extend(range(int(first), min(last, to) + 1))
        for number in chosen or range(1, last):
            if 0 < number <= last:
                text = self._history.inputs[number]
                print(f"{number:4}: {text}" if numbered else text)

    def _list_magics(self, line: str, scope: Scope) -> None:
        print("Line magics:\n" + "  ".join(f"%{name}" for name in sorted(
            {*self.line, *_ALIASES, *_HELP} | {name for name in _SILENT if " " not in name})))
        print("\nCell magics:\n" + "  ".join(f"%%{name}" for name in sorted(self.cell)))
        print("\n!command, x = !command and name? work too; a magic needs its %.")

    def _load_extension(self, line: str, scope: Scope) -> None:
        import importlib

        name = line.strip()
        if name in ("autoreload", ""):
            return
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            _pass_over(f"%load_ext {name} was passed over: {error}")
            return
        load = getattr(module, "load_ipython_extension", None)
        if load is None:
            _pass_over(f"%load_ext {name} was passed over: it is no extension of IPython")
            return
        from podflare_repl.ipython import get_ipython

        load(get_ipython())

    def _configure(self, line: str, scope: Scope) -> None:
        name, _, value = line.partition("=")
        if name.strip().endswith("Shell.ast_node_interactivity"):
            from podflare_repl.ipython import get_ipython

            get_ipython().ast_node_interactivity = value.strip().strip("'\"")

    def _autoreload(self, line: str, scope: Scope) -> None:
        from podflare_repl.autoreload import Autoreload

        if self._reloading is None:
            self._reloading = Autoreload(self._namespace)
        self._reloading.choose(line.strip())
        self.before_cell = self._reloading.before_cell

    def _no_debugger(self, line: str, scope: Scope) -> None:
        _pass_over("there is no debugger here, since nobody can answer it: "
                   "the traceback is on stderr")

    # Forms

    def _form(self, mime: str) -> CellMagic:
        def show(line: str, body: str, scope: Scope) -> None:
            self._results.publish({mime: body, "text/plain": body})

        return show

    def _capture(self, line: str, body: str, scope: Scope) -> None:
        from podflare_repl.capture import capture_output

        words = _words(line)
        names = [word for word in words if not word.startswith("--")]
        with capture_output(
                "--no-stdout" not in words, "--no-stderr" not in words,
                "--no-display" not in words) as captured:
            # At once, so that what was captured before an error is there after it.
            for name in names:
                self._namespace[name] = captured
            value = self._run_part(body, scope)
            if value is not None:
                self._results.show(value)


class _Measurement:
    """What %timeit -o returns."""

    def __init__(self, seconds: list[float], loops: int) -> None:
        self.timings = self.all_runs = seconds
        self.loops, self.repeat = loops, len(seconds)
        self.best, self.worst = min(seconds), max(seconds)
        self.average = sum(seconds) / len(seconds)
        self.stdev = (sum((each - self.average) ** 2 for each in seconds) / len(seconds)) ** 0.5

    def __str__(self) -> str:
        return (f"{_time(self.average)} ± {_time(self.stdev)} per loop (mean ± std. dev. of "
                f"{self.repeat} run{'s' * (self.repeat != 1)}, {self.loops:,} "
                f"loop{'s' * (self.loops != 1)} each)")

    def __repr__(self) -> str:
        return f"<TimeitResult : {self}>"


def _time(seconds: float) -> str:
    if seconds >= 60:
        minutes, left = divmod(seconds, 60)
        return f"{int(minutes)}min {left:.0f}s"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()  # an apostrophe in a name


def _quiet(_exit_code: int) -> None:
    """A command's value is not shown."""


def _pass_over(why: str) -> None:
    print(why, file=sys.stderr)


def _find_installed() -> None:
    import site

    # Its directory may be new, and Python looks for it only when it starts.
    directory = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    if directory is not None and directory not in sys.path and os.path.isdir(directory):
        site.addsitedir(directory)
    look_anew()
