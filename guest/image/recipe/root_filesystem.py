"""The read-only root file system that all microVMs of an image share."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from . import apt, packages, settings, tools
from .bootstrap import Bootstrap
from .packages import Request

# A sandbox has no reader for these. The marker would make `pip install` refuse to work.
_LEFT_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/unicode/*",
    "path-exclude=/usr/lib/python3*/EXTERNALLY-MANAGED",
)

# matplotlib lists all fonts at its first import, seconds of work when emulated.
_FONT_LIST = (
    '--customize-hook=chroot "$1" env HOME=/root python3 -c "import matplotlib.font_manager"'
)

# What user code can import to learn about its sandbox.
_LIBRARY = Path(__file__).resolve().parent.parent / "library" / "podflare.py"
_DIST_PACKAGES = "usr/lib/python3/dist-packages"

# It makes dpkg's syncs do nothing: a build that is cut short is thrown away as a whole.
_EATMYDATA = Path("/usr/share/mmdebstrap/hooks/eatmydata")


def build(
    bootstrap: Bootstrap, requested: Sequence[Request], root: Path, output: Path, identity: str
) -> tuple[str, dict[str, str]]:
    """Installs `requested` below `root` and packs it into the EROFS file `output`.

    Returns the version of Python and the version of each installed package. `identity` is a hash
    of the inputs; the file system's UUID is made of it.
    """
    build_started = time.time()
    bootstrap.unpack(
        root,
        variant="minbase",
        packages=[request.pattern() for request in requested],
        options=[
            *(f"--dpkgopt={option}" for option in _LEFT_OUT),
            *([f"--hook-dir={_EATMYDATA}"] if _can_skip_syncs() else []),
            _FONT_LIST,
        ],
        purpose="build the root file system",
    )
    answer = tools.run(
        ["chroot", root, "python3", "-c", "import platform; print(platform.python_version())"],
        purpose="run Python in the root file system",
    )
    version = answer.decode().strip()
    settings.apply(root, version)
    _settle(root, bootstrap.sources, build_started)
    _add_library(root)
    tools.run(
        [
            "mkfs.erofs",
            # a .pyc file is valid only while it knows the exact time of its source
            "--preserve-mtime",
            "-U",
            str(uuid.uuid5(uuid.NAMESPACE_OID, identity)),
            output,
            root,
        ],
        purpose="pack the root file system",
    )
    return version, packages.installed(root)


def _can_skip_syncs() -> bool:
    """The hook calls a program of dpkg-dev; without either a build takes longer, that is all."""
    return _EATMYDATA.is_dir() and shutil.which("dpkg-architecture") is not None


def _settle(root: Path, sources: Sequence[str], build_started: float) -> None:
    """Removes what the build and its host left behind, and writes the guest's own settings."""
    for directory in ("var/log", "var/cache/apt", "var/cache/ldconfig", "var/lib/apt/lists", "tmp"):
        _empty(root / directory)
    # Copied from the host, or made at boot.
    for name in ("etc/hostname", "etc/hosts", "etc/resolv.conf"):
        (root / name).unlink(missing_ok=True)
    _empty(root / "dev")
    (root / "etc/machine-id").write_text("", encoding="utf-8")
    guest_sources = "".join(f"{apt.without_credentials(line)}\n" for line in sources)
    (root / "etc/apt/sources.list").write_text(guest_sources, encoding="utf-8")
    _date_new_files_like_packages(root, build_started)


def _add_library(root: Path) -> None:
    library = root / _DIST_PACKAGES / _LIBRARY.name
    shutil.copy(_LIBRARY, library)
    # all images of the same recipe have the same times
    os.utime(library, (0, 0))
    tools.run(
        ["chroot", root, "python3", "-m", "py_compile", f"/{_DIST_PACKAGES}/{_LIBRARY.name}"],
        purpose="compile the guest's library",
    )


def _date_new_files_like_packages(root: Path, build_started: float) -> None:
    """Gives what was made during the build the time of the newest packaged file.

    The same packages then give the same times, whenever the image is built. Packaged files keep
    theirs, and so do Python sources, because their .pyc files hold that time.
    """
    paths = [Path(parent, name) for parent, dirs, files in os.walk(root) for name in dirs + files]
    times = {path: path.lstat().st_mtime for path in [root, *paths]}
    packaged = max(modified for modified in times.values() if modified < build_started)
    for path, modified in times.items():
        if modified >= build_started and path.suffix != ".py":
            os.utime(path, (packaged, packaged), follow_symlinks=False)


def _empty(directory: Path) -> None:
    if directory.is_dir():
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
