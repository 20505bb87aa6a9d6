"""The user's Python process. The agent starts it as `python3 repl.py [WARM_SCRIPT]`, with its
control socket and mailbox as descriptors 3 and 4, and the output pipes as 1 and 2."""

import builtins
import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader
from types import ModuleType

_BUILTINS = dict(vars(builtins))


class _Loader(SourceFileLoader):
    """Gives our modules built-in functions of their own: user code may overwrite the others, and
    what serves it must go on."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        super().exec_module(module)


for _folder in ("", "podflare_repl", "podflare_wire"):
    _path = os.path.join(sys.path[0], _folder).rstrip("/")
    sys.path_importer_cache[_path] = FileFinder(_path, (_Loader, [".py"]))

from podflare_repl.process import main  # noqa: E402

main(sys.argv[1] if len(sys.argv) > 1 else None)
