"""IPython as far as code for notebooks uses it, where it is not installed.

`IPython.display` and `get_ipython()` lead to the results and magics of this process. With a real
IPython installed, its own modules are imported, and only the functions that would print, because no
kernel runs, are ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

from podflare_repl import capture, display as rendering, forms
from podflare_repl.cells import Compiler
from podflare_repl.imports import when_imported
from podflare_repl.magics import Magics, Scope
from podflare_repl.results import History, Results

VERSION = (8, 37, 0)

_shell: Shell | None = None


class UsageError(Exception):
    """A magic was used wrongly."""


class Shell:
    """What get_ipython() returns."""

    def __init__(
        self, namespace: dict[str, Any], results: Results, history: History, magics: Magics,
        run_part: Callable[[str, Scope], Any], compiler: Compiler
    ) -> None:
        self._compiler = compiler
        self.user_ns = self.user_global_ns = namespace
        self.results = results
        self.magics = magics
        self._history = history
        self._run_part = run_part
        # No IPKernelApp: nobody is there who could answer a widget.
        self.config: dict[str, Any] = {}
        self.events = _Events()
        self.display_formatter = _DisplayFormatter()
        self.display_pub = _DisplayPublisher(results)
        self.kernel = None
        self.colors = "NoColor"

    @property
    def execution_count(self) -> int:
        return len(self._history.inputs) - 1

    @property
    def ast_node_interactivity(self) -> str:
        """Which values a cell shows."""
        return self._compiler.interactivity

    @ast_node_interactivity.setter
    def ast_node_interactivity(self, shown: str) -> None:
        self._compiler.interactivity = shown

    @property
    def user_module(self) -> ModuleType:
        return sys.modules["__main__"]

    def run_line_magic(self, name: str, line: str = "", _stack_depth: int = 1) -> Any:
        return self.magics.run_line(name.lstrip("%"), line, self._scope())

    def run_cell_magic(self, name: str, line: str, cell: str) -> Any:
        return self.magics.run_cell(name.lstrip("%"), line, cell, self._scope())

    def magic(self, line: str) -> Any:
        name, _, rest = line.strip().lstrip("%").partition(" ")
        return self.run_line_magic(name, rest)

    run_magic = magic

    def system(self, command: str) -> None:
        self.magics.run_command(command, self._scope_of(sys._getframe(1)))

    system_piped = system_raw = system

    def getoutput(self, command: str, split: bool = True, depth: int = 0) -> Any:
        lines = self.magics.output_of(command, self._scope_of(sys._getframe(1)))
        return lines if split else lines.n

    def ex(self, source: str) -> None:
        exec(source, self.user_ns)

    def ev(self, expression: str) -> Any:
        return eval(expression, self.user_ns)

    def run_cell(self, raw_cell: str, *_args: Any, **_options: Any) -> _Run:
        """Runs it as a part of the running cell, and shows its value."""
        try:
            value = self._run_part(raw_cell, self._scope())
        except Exception as error:
            import traceback

            traceback.print_exc()
            return _Run(None, error)
        if value is not None:
            self.results.show(value)
        return _Run(value, None)

    def push(self, variables: Any, interactive: bool = True) -> None:
        self.user_ns.update(
            variables if isinstance(variables, dict)
            else {name: self.user_ns[name] for name in variables})

    def reset(self, new_session: bool = True, aggressive: bool = False) -> None:
        self.run_line_magic("reset", "-f")

    def register_magic_function(
        self, function: Any, magic_kind: str = "line", magic_name: str | None = None
    ) -> None:
        name = magic_name or function.__name__
        if magic_kind in ("line", "line_cell"):
            self.magics.line[name] = lambda line, scope: function(line)
        if magic_kind in ("cell", "line_cell"):
            self.magics.cell[name] = lambda line, cell, scope: function(line, cell)

    def register_magics(self, *classes: Any) -> None:
        for each in classes:
            instance = each(self) if isinstance(each, type) else each
            for kind, name, attribute in getattr(type(instance), "_marked_magics", ()):
                self.register_magic_function(getattr(instance, attribute), kind, name)

    def find_line_magic(self, name: str) -> Any:
        return self.magics.line.get(name)

    def find_cell_magic(self, name: str) -> Any:
        return self.magics.cell.get(name)

    def enable_gui(self, gui: Any = None) -> None:
        """Figures are results, whatever library draws them."""

    enable_matplotlib = enable_pylab = enable_gui

    def set_custom_exc(self, *_args: Any) -> None:
        """Tracebacks are shown by the host."""

    def showtraceback(self, *_args: Any, **_options: Any) -> None:
        import traceback

        traceback.print_exc()

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Nobody sees a next input."""

    def atexit_operations(self) -> None:
        """Nothing is kept on disk."""

    def _scope(self) -> Scope:
        return Scope(self.user_ns, self.user_ns, 0)

    def _scope_of(self, caller: FrameType) -> Scope:
        return Scope(self.user_ns, caller.f_locals, 0)

    def __repr__(self) -> str:
        return "<podflare's stand-in for an IPython shell>"


class _Run:
    """What run_cell returns."""

    def __init__(self, result: Any, error: BaseException | None) -> None:
        self.result, self.error_in_exec, self.error_before_exec = result, error, None
        self.success = error is None

    def raise_error(self) -> None:
        if self.error_in_exec is not None:
            raise self.error_in_exec


class _Events:
    """Takes callbacks and never calls them: libraries redraw and refresh in them."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Any]] = {}

    def register(self, event: str, function: Any) -> None:
        self.callbacks.setdefault(event, []).append(function)

    def unregister(self, event: str, function: Any) -> None:
        functions = self.callbacks.get(event, [])
        if function not in functions:
            raise ValueError(f"{function!r} is not registered as a {event} callback")
        functions.remove(function)

    def trigger(self, event: str, *_args: Any, **_options: Any) -> None:
        """Nothing."""


class _Formatter:
    """How a library registers the form of a type that is not its own."""

    def __init__(self, mime: str) -> None:
        self._mime = mime
        self.enabled = True

    @property
    def type_printers(self) -> dict[Any, Any]:
        return rendering.formatters.setdefault(self._mime, {})

    deferred_printers: dict[Any, Any] = {}

    def for_type(self, kind: Any, function: Any = None) -> Any:
        by_type = self.type_printers
        before = by_type.get(kind)
        if function is not None:
            by_type[kind] = function if self._mime != "text/plain" else _pretty(function)
        return before

    def for_type_by_name(self, module: str, name: str, function: Any = None) -> Any:
        there = sys.modules.get(module)
        if there is not None:
            return self.for_type(getattr(there, name), function)
        when_imported(module, lambda loaded: self.for_type(getattr(loaded, name), function))
        return None

    def pop(self, kind: Any, default: Any = None) -> Any:
        return self.type_printers.pop(kind, default)


def _pretty(function: Any) -> Callable[[Any], str]:
    """IPython's functions for text write to a printer."""

    def text(value: Any) -> str:
        printer = _Printer()
        function(value, printer, False)
        return "".join(printer.parts)

    return text


class _Printer:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, text: str) -> None:
        self.parts.append(text)

    def pretty(self, value: Any) -> None:
        self.parts.append(repr(value))

    def breakable(self, separator: str = " ") -> None:
        self.parts.append(separator)


class _DisplayFormatter:
    def __init__(self) -> None:
        mimes = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml",
                 "image/png", "image/jpeg", "application/json", "application/javascript",
                 "application/pdf")
        self.formatters = {mime: _Formatter(mime) for mime in mimes}
        self.active_types = list(mimes)

    def format(self, value: Any, include: Any = None, exclude: Any = None) -> Any:
        return _chosen(rendering.bundle_of(value), include, exclude), {}


class _DisplayPublisher:
    def __init__(self, results: Results) -> None:
        self._results = results

    def publish(self, data: dict[str, Any], *_args: Any, **options: Any) -> None:
        publish_display_data(data, **options)

    def clear_output(self, wait: bool = False) -> None:
        self._results.clear()


def get_ipython() -> Shell:
    """The one shell of this process."""
    assert _shell is not None
    return _shell


# IPython.display

class DisplayHandle:
    """A display that can be changed: what it is at the end of the cell is one more result."""

    def __init__(self, display_id: str | None = None) -> None:
        self.display_id = display_id or os.urandom(16).hex()

    def display(self, value: Any, **options: Any) -> None:
        display(value, display_id=self.display_id, **options)

    def update(self, value: Any, **options: Any) -> None:
        update_display(value, display_id=self.display_id, **options)

    def __repr__(self) -> str:
        return f"<DisplayHandle display_id={self.display_id}>"


def display(
    *objs: Any, include: Any = None, exclude: Any = None, metadata: Any = None,
    transient: Any = None, display_id: Any = None, raw: bool = False, clear: bool = False,
    update: bool = False, **_options: Any
) -> DisplayHandle | None:
    """Shows values at once, as the last value of a cell is shown."""
    results = get_ipython().results
    if clear:
        results.clear()
    handle = None
    if display_id is not None and display_id is not False:
        handle = DisplayHandle(None if display_id is True else str(display_id))
    for value in objs:
        if update and handle is not None:
            results.update(handle.display_id, _bundle_of(value, raw, include, exclude))
        elif raw or include or exclude:
            results.publish(_bundle_of(value, raw, include, exclude))
        else:
            results.show(value)
    return None if update else handle


def _bundle_of(value: Any, raw: bool, include: Any, exclude: Any) -> rendering.Bundle:
    if raw and isinstance(value, dict):
        return rendering.bundle_of_data(value)
    from podflare_repl import figures

    if figures.is_figure(value):
        return figures.bundle_of(value)
    return _chosen(rendering.bundle_of(value), include, exclude)


def _chosen(bundle: rendering.Bundle, include: Any, exclude: Any) -> rendering.Bundle:
    return {mime: form for mime, form in bundle.items()
            if (not include or mime in include or mime == "text/plain")
            and (not exclude or mime not in exclude)}


def update_display(obj: Any, *, display_id: str, **options: Any) -> None:
    """Changes what was displayed under this id."""
    display(obj, display_id=display_id, update=True, **options)


def clear_output(wait: bool = False) -> None:
    """What is displayed from here on is shown when the cell ends, unless it is cleared again."""
    get_ipython().results.clear()


def publish_display_data(
    data: dict[str, Any], metadata: Any = None, source: Any = None, *,
    transient: dict[str, Any] | None = None, update: bool = False, **_options: Any
) -> None:
    """Shows forms that are made already."""
    display_id = (transient or {}).get("display_id")
    display(data, raw=True, display_id=display_id, update=update and display_id is not None)


def _displays_as(cls: type) -> Callable[..., None]:
    def shown(*objs: Any, raw: bool = False, **_options: Any) -> None:
        for value in objs:
            display(value if not raw else cls(value))

    return shown


def _nothing(*_args: Any, **_options: Any) -> None:
    """A setting of the notebook's page, of which there is none."""


# IPython.core.magic

class MagicsBase:
    """The base of classes of magics."""

    def __init__(self, shell: Any = None, **_options: Any) -> None:
        self.shell = shell or get_ipython()


def magics_class(cls: Any) -> Any:
    cls._marked_magics = [
        (*mark, attribute) for attribute, member in vars(cls).items()
        for mark in getattr(member, "_magic_marks", ())]
    return cls


def _mark(kind: str) -> Callable[[Any], Any]:
    def with_name(argument: Any) -> Any:
        def mark(function: Any, name: str) -> Any:
            function._magic_marks = [*getattr(function, "_magic_marks", ()), (kind, name)]
            return function

        if callable(argument):
            return mark(argument, argument.__name__)
        return lambda function: mark(function, argument)

    return with_name


def _register(kind: str) -> Callable[[Any], Any]:
    def with_name(argument: Any) -> Any:
        def register(function: Any, name: str) -> Any:
            get_ipython().register_magic_function(function, kind, name)
            return function

        if callable(argument):
            return register(argument, argument.__name__)
        return lambda function: register(function, argument)

    return with_name


def _unchanged(function: Any) -> Any:
    return function


class _ShellClass(type):
    """Code sets what the shell shows on its class."""

    @property
    def ast_node_interactivity(cls) -> str:
        return get_ipython().ast_node_interactivity

    @ast_node_interactivity.setter
    def ast_node_interactivity(cls, shown: str) -> None:
        get_ipython().ast_node_interactivity = shown


class InteractiveShell(metaclass=_ShellClass):
    """By which libraries ask whether they run in a notebook."""

    @staticmethod
    def initialized() -> bool:
        return True

    @staticmethod
    def instance(*_args: Any, **_options: Any) -> Shell:
        return get_ipython()


def _modules() -> dict[str, dict[str, Any]]:
    functions = {
        "display": display, "update_display": update_display, "clear_output": clear_output,
        "publish_display_data": publish_display_data, "DisplayHandle": DisplayHandle}
    classes = {each.__name__: each for each in forms.ALL}
    as_form = {
        f"display_{name}": _displays_as(cls) for name, cls in (
            ("html", forms.HTML), ("markdown", forms.Markdown), ("svg", forms.SVG),
            ("png", forms.Image), ("jpeg", forms.Image), ("latex", forms.Latex),
            ("json", forms.JSON), ("javascript", forms.Javascript), ("pretty", forms.Pretty))}
    settings = {"set_matplotlib_formats": _nothing, "set_matplotlib_close": _nothing}
    captures = {"capture_output": capture.capture_output, "CapturedIO": capture.CapturedIO,
                "RichOutput": capture.RichOutput}
    return {
        "IPython": {
            "get_ipython": get_ipython, "InteractiveShell": InteractiveShell,
            "version_info": VERSION, "__version__": ".".join(map(str, VERSION)), "embed": _nothing},
        "IPython.display": {**functions, **classes, **as_form, **settings},
        "IPython.core": {},
        "IPython.core.display": {**classes, **as_form, **functions, **settings},
        "IPython.core.display_functions": functions,
        "IPython.core.getipython": {"get_ipython": get_ipython},
        "IPython.core.interactiveshell": {"InteractiveShell": InteractiveShell},
        "IPython.core.error": {"UsageError": UsageError},
        "IPython.core.magic": {
            "Magics": MagicsBase, "magics_class": magics_class,
            "line_magic": _mark("line"), "cell_magic": _mark("cell"),
            "line_cell_magic": _mark("line_cell"), "register_line_magic": _register("line"),
            "register_cell_magic": _register("cell"),
            "register_line_cell_magic": _register("line_cell"),
            "needs_local_scope": _unchanged, "no_var_expand": _unchanged},
        "IPython.lib": {},
        "IPython.lib.display": classes,
        "IPython.utils": {},
        "IPython.utils.capture": captures,
        "IPython.utils.io": captures,
    }


class _StandIn(MetaPathFinder, Loader):
    """The last finder: asked only for what is not installed."""

    def __init__(self) -> None:
        self._contents = _modules()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._contents:
            return None
        owner = sys.modules.get(fullname.rpartition(".")[0])
        if owner is not None and getattr(owner.__spec__, "loader", None) is not self:
            return None  # a real IPython that lacks this module
        is_package = any(name.startswith(f"{fullname}.") for name in self._contents)
        return ModuleSpec(fullname, self, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(self._contents[module.__name__])
        module.__doc__ = "Podflare's stand-in for a module of IPython, which is not installed."
        if module.__name__ == "IPython":
            # As in the real one, `import IPython` is enough for these.
            import importlib

            for name in ("IPython.core.display", "IPython.display"):
                importlib.import_module(name)


def install(shell: Shell) -> None:
    """From here on `import IPython` works, with or without it."""
    global _shell
    _shell = shell
    sys.meta_path.append(_StandIn())

    def take_over(module: ModuleType) -> None:
        for name, function in _modules()[module.__name__].items():
            setattr(module, name, function)

    for name in ("IPython.core.display_functions", "IPython.core.getipython",
                 "IPython.utils.capture"):
        when_imported(name, take_over)
