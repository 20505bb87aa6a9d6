"""docs/image.md: what a sandbox has is there, and works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from rig.case import Case
from rig.rest import Exec

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "image.md").read_text(encoding="utf-8")


def names_in(section: str) -> list[str]:
    """What stands in the second column of a section's first table."""
    text = PAGE.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0].split("\n\n### ", 1)[0]
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("| ")]
    return re.findall(r"`([^`]+)`", " ".join(rows))


class ImageTest(Case):
    sandbox: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.sandbox = cls.rest.create()
        cls.addClassCleanup(cls.rest.close, cls.sandbox)

    def run_code(self, code: str, **request: Any) -> Exec:
        return self.rest.exec(self.sandbox, code, **request)

    def test_all_that_its_page_names_is_there(self) -> None:
        with self.subTest("modules"):
            modules = names_in("Python")
            self.assertGreater(len(modules), 30)
            ran = self.run_code(
                "import importlib, threading, time\n"
                f"slow = {{}}\nfor name in {modules!r}:\n"
                "    began = time.perf_counter()\n    importlib.import_module(name)\n"
                "    slow[name] = time.perf_counter() - began\n"
                "print([name for name, seconds in slow.items() if seconds > 4.0])\n"
                "print(threading.active_count(), 'numpy' in globals())"
            )
            self.assertEqual(ran.stderr, "")
            self.assertEqual(ran.stdout, "[]\n1 False\n")
        with self.subTest("commands"):
            commands = " ".join(names_in("The shell"))
            ran = self.run_code(
                f"for name in {commands}; do command -v $name >/dev/null || echo $name; done",
                language="bash",
            )
            self.assertEqual(ran.stdout, "")

    def test_it_works_without_set_up(self) -> None:
        with self.subTest("letters and emoji in a figure, without a warning"):
            ran = self.run_code(
                "import matplotlib.pyplot as plt\nplt.title('测试 テスト 한국어 😀🚀')\nplt.show()"
            )
            self.assertEqual(ran.stderr, "")
            self.assertIn("image/png", ran.results[0])
        with self.subTest("zones and locales"):
            ran = self.run_code(
                "import locale, zoneinfo\n"
                "zoneinfo.ZoneInfo('US/Eastern'), locale.setlocale(locale.LC_ALL, 'en_US.UTF-8')"
            )
            self.assertEqual(ran.stderr, "")
        with self.subTest("the shell's part"):
            ran = self.run_code(
                "set -e\n"
                "git init -q /tmp/r && cd /tmp/r && echo 'int main(){}' >x.c\n"
                "git add . && git commit -qm first && git log --format=%s\n"
                "gcc x.c -o x && ./x && sudo -n id -un && node -p 1+1 && fd -e c\n"
                "TZ=US/Pacific date +%Z | tr -d '\\n' | head -c1; echo\n"
                "touch /mnt/data/x /mnt/user-data/outputs/x /workspace/x /content/x /home/user/x",
                language="bash",
            )
            self.assertEqual(ran.stdout, "first\nroot\n2\nx.c\nP\n", ran.stderr)

    def test_a_missing_module_says_what_to_do(self) -> None:
        error = self.run_code("import cv2").error
        assert error is not None
        self.assertIn("opencv-python-headless", error["value"])

    def test_what_pip_puts_into_the_users_site_can_be_imported_at_once(self) -> None:
        ran = self.run_code(
            "mkdir -p /tmp/p/here_now && cd /tmp/p && echo 'x = 7' >here_now/__init__.py\n"
            "printf '[project]\\nname = \"here-now\"\\nversion = \"1\"\\n' >pyproject.toml\n"
            "cp -r here_now $(python3 -m site --user-site)/",
            language="bash",
        )
        self.assertEqual(ran.stderr, "")
        self.assertEqual(
            self.run_code("import here_now; here_now.x").results, [{"text/plain": "7"}]
        )

    def test_templates_say_their_versions(self) -> None:
        answer = self.rest.call("GET", "/v1/templates")
        self.assertEqual(answer.status, 200, str(answer))
        default = next(one for one in answer.json["templates"] if one["name"] == "default")
        ran = self.run_code(
            "import platform, pandas\n"
            "print(platform.python_version(), pandas.__version__.partition('+')[0])"
        )
        self.assertEqual(
            ran.stdout.split(), [default["python"], default["python_packages"]["pandas"]]
        )
