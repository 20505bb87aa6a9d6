"""What the guest's system is set to, beyond what its packages bring."""

from __future__ import annotations

from pathlib import Path

from . import tools

# So that a first commit needs no set-up; a name of the user's own goes before it. Files that were
# uploaded, or unpacked from an archive, may belong to other users than the one who runs git.
_GIT = """\
[user]
	name = Sandbox
	email = sandbox@localhost
[init]
	defaultBranch = main
[safe]
	directory = *
"""

# Where a glyph is not in the first font it is taken from the next. The names are those of the packages
# in packages.txt; matplotlib leaves out those that are not there, but warns of them.
_FONTS = ("WenQuanYi Micro Hei", "Symbola")

# What programs ask for by name. C.UTF-8 is there in any case.
_LOCALES = (
    "en_US",
    "en_GB",
    "de_DE",
    "es_ES",
    "fr_FR",
    "it_IT",
    "ja_JP",
    "pt_BR",
    "zh_CN",
)

# Where models write from habit, as other sandboxes and notebooks have these.
_DIRECTORIES = (
    "content",
    "home/user",
    "mnt/data",
    "mnt/user-data/inputs",
    "mnt/user-data/outputs",
    "mnt/user-data/uploads",
    "workspace",
)

# Programs under the names that others know them by.
_NAMES = {"fd": "fdfind", "vim": "vim.tiny"}

# Written at boot: it comes with the agent, so that another package index needs no new image.
_PIP_CONFIGURATION = "/run/podflare/pip.conf"


def apply(root: Path, python_version: str) -> None:
    """Writes them below `root`."""
    (root / "etc/gitconfig").write_text(_GIT, encoding="utf-8")
    (root / "etc/pip.conf").unlink(missing_ok=True)
    (root / "etc/pip.conf").symlink_to(_PIP_CONFIGURATION)
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    # A process that has started without it never looks there.
    minor = ".".join(python_version.split(".")[:2])
    (root / f"root/.local/lib/python{minor}/site-packages").mkdir(parents=True, exist_ok=True)
    for name, program in _NAMES.items():
        if (root / "usr/bin" / program).exists():
            (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/{program}")
    _name_fonts(root / "etc/matplotlibrc", root / "usr/share/fonts")
    _make_locales(root)


def _name_fonts(settings: Path, fonts: Path) -> None:
    if not (fonts / "truetype/wqy").is_dir():
        return
    with settings.open("a", encoding="utf-8") as file:
        file.write(f"\nfont.family: {', '.join(('sans-serif', *_FONTS))}\n")


def _make_locales(root: Path) -> None:
    if not (root / "usr/bin/localedef").exists() or not (root / "usr/share/i18n").is_dir():
        return
    for name in _LOCALES:
        tools.run(
            ["chroot", root, "localedef", "-i", name, "-f", "UTF-8", f"{name}.UTF-8"],
            purpose=f"make the locale {name}.UTF-8",
        )
