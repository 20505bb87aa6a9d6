"""The wheel and the sdist: built and installed without a package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

import podflare

PROJECT = Path(podflare.__file__).parents[2]
SECONDS = 120


def run(*command: str, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    environment["PIP_NO_INDEX"] = "1"
    environment["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


class DistributionTest(unittest.TestCase):
    """Builds once: by the backend of pyproject.toml, as `pip` and `build` do."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        # A copy, because setuptools leaves its own files beside the sources.
        source = cls.folder / "source"
        shutil.copytree(
            PROJECT, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        )
        build = (
            "import setuptools.build_meta as backend; "
            "print(backend.build_sdist('../dist'), backend.build_wheel('../dist'))"
        )
        run(sys.executable, "-c", build, cwd=source)
        cls.wheel = next((cls.folder / "dist").glob("*.whl"))
        cls.sdist = next((cls.folder / "dist").glob("*.tar.gz"))

    def test_both_have_every_module_and_the_mark_of_being_typed(self) -> None:
        package = Path(podflare.__file__).parent
        expected = {
            f"podflare/{path.relative_to(package)}"
            for path in [*package.rglob("*.py"), package / "py.typed"]
        }
        with zipfile.ZipFile(self.wheel) as wheel:
            self.assertEqual(expected - set(wheel.namelist()), set())
        with tarfile.open(self.sdist) as sdist:
            names = {name.partition("/src/")[2] for name in sdist.getnames()}
        self.assertEqual(expected - names, set())

    def test_the_wheel_installs_into_an_empty_environment_and_needs_nothing_else(self) -> None:
        run(sys.executable, "-m", "venv", "empty", cwd=self.folder)
        python = str(self.folder / "empty" / "bin" / "python")
        run(python, "-m", "pip", "install", "--no-index", str(self.wheel), cwd=self.folder)
        code = "import podflare; print(podflare.__version__, podflare.__file__)"
        version, file = run(python, "-c", code, cwd=self.folder).split()
        self.assertEqual(version, podflare.__version__)
        self.assertIn("site-packages", file)

    def test_the_sdist_gives_the_same_wheel(self) -> None:
        with tarfile.open(self.sdist) as sdist:
            sdist.extractall(self.folder / "unpacked")
        [source] = (self.folder / "unpacked").iterdir()
        build = "import setuptools.build_meta as backend; backend.build_wheel('../../again')"
        run(sys.executable, "-c", build, cwd=source)
        [again] = (self.folder / "again").glob("*.whl")
        with zipfile.ZipFile(self.wheel) as one, zipfile.ZipFile(again) as other:
            self.assertEqual(sorted(one.namelist()), sorted(other.namelist()))


if __name__ == "__main__":
    unittest.main()
