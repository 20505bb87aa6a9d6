"""What is said of a module that is missing, and what `auto_install` does about it."""

from __future__ import annotations

import socket
import sys
import tempfile
import textwrap
import threading
import unittest
from pathlib import Path

from host import AGENT, AgentTest

sys.path.insert(0, str(AGENT))

from podflare_repl import auto_install, missing, pypi_names, reach  # noqa: E402


class WhatIsAdvised(unittest.TestCase):
    def distribution(self, module: str) -> str | None:
        advice = missing.advise(module)
        return None if advice is None else advice.distribution

    def test_the_name_on_pypi(self) -> None:
        for module, distribution in [
                ("cv2", "opencv-python-headless"), ("cv2.dnn", "opencv-python-headless"),
                ("skimage", "scikit-image"), ("pptx", "python-pptx"), ("fitz", "PyMuPDF"),
                ("google.generativeai", "google-generativeai"), ("polars", "polars"),
                ("google.cloud.storage", "google-cloud-storage"),
                ("sentence_transformers", "sentence-transformers"), ("some_thing", "some-thing")]:
            with self.subTest(module):
                self.assertEqual(self.distribution(module), distribution)

    def test_what_pip_cannot_bring_gets_no_advice_to_use_it(self) -> None:
        for module, said in [
                ("distutils", "no longer a part of Python"), ("urllib2", "urllib.request"),
                ("winreg", "Windows"), ("jsno", "did you mean json"), ("maths", None),
                ("colections", "did you mean collections"), ("datatime", "did you mean datetime"),
                ("utils", "a file of your own"), ("helpers", "a file of your own"),
                ("_mine", "a file of your own")]:
            with self.subTest(module):
                advice = missing.advise(module)
                assert advice is not None
                if said is not None:
                    self.assertIn(said, advice.text)
                    self.assertIsNone(advice.distribution)

    def test_a_part_of_what_is_installed_gets_none(self) -> None:
        self.assertIsNone(missing.advise("json.nothing"))
        self.assertIsNone(missing.advise("podflare_repl.nothing"))

    def test_names_that_are_none_get_none(self) -> None:
        for name in ("", "a" * 101, "a b", "x;rm", "-r", "ü", "a..b", "--index-url=x"):
            with self.subTest(name):
                self.assertIsNone(missing.advise(name))

    def test_a_name_that_only_resembles_one_of_python_is_another(self) -> None:
        for module, distribution in [
                ("typer", "typer"), ("cupy", "cupy"), ("bson", "pymongo"), ("hjson", "hjson"),
                ("glom", "glom"), ("tokenizer", "tokenizer"), ("selector", "selector"),
                ("simpy", "simpy"), ("timm", "timm"), ("xarray", "xarray")]:
            with self.subTest(module):
                self.assertEqual(self.distribution(module), distribution)
        advice = missing.advise("jsno")
        assert advice is not None
        self.assertIn("`pip install jsno`", advice.text)
        for module in ("pickle5", "regex", "simplejson", "contextlib2", "rich_argparse"):
            with self.subTest(module):
                advice = missing.advise(module)
                assert advice is not None
                self.assertIsNotNone(advice.distribution)

    def test_every_name_in_the_table_is_a_module_and_every_value_a_distribution(self) -> None:
        for module, distribution in pypi_names.CALLED.items():
            self.assertRegex(module, r"\A[A-Za-z_][\w.]*\Z")
            self.assertRegex(distribution, r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class Reach(unittest.TestCase):
    def ask(self, rcode: int | None) -> bool | None:
        """As a name server that answers so, or not at all."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def answer() -> None:
            question, client = server.recvfrom(512)
            if rcode is not None:
                server.sendto(
                    question[:2] + bytes((0x81, 0x80 | rcode)) + question[4:], client)

        thread = threading.Thread(target=answer)
        thread.start()
        self.addCleanup(thread.join)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("nameserver 127.0.0.1\n")
            file.flush()
            return reach.of_host("index.example", file.name, server.getsockname()[1])

    def test_an_answer_is_a_network_and_a_refusal_none(self) -> None:
        self.assertIs(self.ask(0), True)
        self.assertIs(self.ask(5), False)
        self.assertIsNone(self.ask(None))

    def test_nobody_there_is_told_at_once(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("nameserver 127.0.0.1\n")
            file.flush()
            self.assertIs(reach.of_host("index.example", file.name, port), False)
        self.assertIs(reach.of_host("index.example", "/nowhere"), False)

    def test_the_index_is_the_one_that_pip_asks(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder, "pip.conf")
            settings.write_text("[global]\nindex-url = https://me:pw@pip.example:8443/simple\n")
            self.assertEqual(reach.index_host({}, [str(settings)]), "pip.example")
            self.assertEqual(
                reach.index_host({"PIP_INDEX_URL": "http://[::1]/s"}, [str(settings)]), "::1")
        self.assertEqual(reach.index_host({}, ["/nowhere"]), "pypi.org")


class HintsAtExceptions(AgentTest):
    def test_one_line_more_in_value_traceback_and_stderr(self) -> None:
        outcome = self.host.run("import skimage_that_is_not_there")
        error = outcome.error
        assert error is not None
        self.assertEqual(error["name"], "ModuleNotFoundError")
        first, hint = error["value"].split("\n")
        self.assertEqual(first, "No module named 'skimage_that_is_not_there'")
        self.assertRegex(hint, r"\AHint: .*skimage-that-is-not-there")
        self.assertEqual(outcome.stderr.splitlines()[-2:], [f"{error['name']}: {first}", hint])
        self.assertEqual(outcome.stderr, error["traceback"])

    def test_other_errors_stay_as_they_are(self) -> None:
        for code, value in [
                ("from json import nothing", "cannot import name 'nothing' from 'json'"),
                ("raise ModuleNotFoundError('not found')", "not found"),
                ("raise ModuleNotFoundError('mine', name='polars')", "mine"),
                ("import json.nothing", "No module named 'json.nothing'")]:
            with self.subTest(code):
                error = self.host.run(code).error
                assert error is not None
                self.assertTrue(error["value"].startswith(value), error["value"])
                self.assertNotIn("\n", error["value"])

    def test_what_a_library_says_of_a_missing_one_gets_the_line_too(self) -> None:
        (self.host.home / "library.py").write_text(textwrap.dedent("""\
            try:
                import polars_not_there
            except ImportError as error:
                raise ImportError("library needs polars_not_there") from error
            """))
        error = self.host.run("import library").error
        assert error is not None
        self.assertIn("Hint: ", error["value"])
        self.assertIn("polars-not-there", error["value"])

    def test_a_file_that_hides_a_package_is_named(self) -> None:
        (self.host.home / "yaml.py").write_text("x = 1")
        self.addCleanup(
            self.host.run, "import sys, os; del sys.modules['yaml']; os.unlink('yaml.py')")
        error = self.host.run("import yaml, yaml.nodes").error
        assert error is not None
        self.assertIn("yaml.py, a file that hides the package", error["value"])

    def test_a_module_in_a_folder_is_found(self) -> None:
        (self.host.home / "parts").mkdir()
        (self.host.home / "parts" / "gears.py").write_text("x = 1")
        error = self.host.run("import gears").error
        assert error is not None
        self.assertIn("sys.path.append(", error["value"])
        self.assertNotIn("pip", error["value"])


class ImportsOfACell(unittest.TestCase):
    def test_the_first_imports_in_their_order(self) -> None:
        for source, names in [
                ("import a, b.c as d\nfrom e.f import g\nimport a\nfrom . import x\n"
                 "try:\n  import maybe\nexcept ImportError: pass\nif 0:\n  import never\n",
                 ["a", "b.c", "e.f"]),
                ("# note\n'Text.'\nimport a; import b\n", ["a", "b"]),
                ("from a import (\n    b,\n    c)\n!ls\nimport d", ["a"]),
                ("  import a\n  x = 1", ["a"]), (">>> import a\n>>> a.b\n1", ["a"]),
                ("import a\nawait a.b()", ["a"])]:
            with self.subTest(source):
                self.assertEqual(auto_install.imported_first(source), names)

    def test_what_comes_after_anything_else_may_be_made_by_it(self) -> None:
        for source in (
                "import sys; sys.path.insert(0, 'lib')\nimport mine",
                "open('mine.py', 'w').write('x = 1')\nimport mine",
                "!pip install mine\nimport mine", "%cd lib\nimport mine",
                'x = """\nimport mine\n"""\n!ls', "'a'; 'b'\nimport mine"):
            with self.subTest(source):
                self.assertNotIn("mine", auto_install.imported_first(source))

    def test_what_is_no_python_imports_nothing(self) -> None:
        for source in (
                "", "1 +", "import", "\0", "from . import x\n!ls", "%%writefile a.py\nimport a",
                "# note\n%%bash\nimport a", "%%time\nimport a", "import a\nx = = 1"):
            with self.subTest(source):
                self.assertEqual(auto_install.imported_first(source), [])


class AutoInstall(AgentTest):
    """With a pip of the tests': it makes a module of the name that it is given."""

    def setUp(self) -> None:
        super().setUp()
        self.site = self.host.home / "site"
        package = self.site / "pip"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(textwrap.dedent(f"""\
            import sys
            name = sys.argv[-1]
            if name == "broken":
                sys.exit("ERROR: No matching distribution found for broken")
            open({str(self.site)!r} + "/" + name.replace("-", "_") + ".py", "w").write("x = 7")
            """))
        self.host.run(textwrap.dedent(f"""\
            import os, sys
            from podflare_repl import reach
            reach.of_host = lambda *_: True
            sys.path.append({str(self.site)!r})
            os.environ["PYTHONPATH"] = {str(self.site)!r}
            os.environ["PODFLARE_AUTO_INSTALL"] = "1"
            """))

    def test_what_a_cell_imports_is_there_before_it_runs(self) -> None:
        outcome = self.host.run(
            "import early_one\ncount = globals().get('count', 0) + 1\nearly_one.x, count")
        self.assertEqual(outcome.value, "(7, 1)", outcome.stderr)
        self.assertRegex(
            outcome.stderr, r"\A\[auto_install: installed early-one \(pip, \d+ s\)\]\n\Z")

    def test_a_file_that_the_cell_writes_itself_is_not_looked_for_elsewhere(self) -> None:
        outcome = self.host.run(
            "open('written_here.py', 'w').write('x = 1')\nimport written_here\nwritten_here.x")
        self.assertEqual((outcome.value, outcome.stderr), ("1", ""))
        outcome = self.host.run("%%writefile other_here.py\nimport not_yet_there")
        self.assertEqual(outcome.stderr, "")

    def test_what_is_missed_later_runs_the_cell_again_and_says_so(self) -> None:
        outcome = self.host.run(
            "runs = globals().get('runs', 0) + 1\n"
            "def f():\n    import late_one\n    return late_one.x\nf(), runs")
        self.assertEqual(outcome.value, "(7, 2)", outcome.stderr)
        self.assertIn("installed late-one (pip, ", outcome.stderr)
        self.assertIn(", and ran the cell again]", outcome.stderr)
        self.assertNotIn("Traceback", outcome.stderr)

    def test_what_pip_does_not_find_is_said_once(self) -> None:
        outcome = self.host.run("import broken")
        self.assertEqual(outcome.stderr.count("No matching distribution found"), 1)
        assert outcome.error is not None
        self.assertEqual(outcome.error["name"], "ModuleNotFoundError")

    def test_nothing_is_installed_for_slips_parts_and_what_a_library_does_without(self) -> None:
        (self.host.home / "quiet_library.py").write_text("import not_needed_here")
        for code in ("import jsno", "import json.nothing", "import utils", "import quiet_library"):
            with self.subTest(code):
                self.assertNotIn("auto_install", self.host.run(code).stderr)

    def test_nor_without_a_network_nor_where_it_is_off(self) -> None:
        self.host.run("reach.of_host = lambda *_: False")
        outcome = self.host.run("import unreachable_one")
        self.assertIn("has no network", outcome.stderr)
        self.assertNotIn("auto_install", outcome.stderr)
        self.host.run("reach.of_host = lambda *_: True; os.environ['PODFLARE_AUTO_INSTALL'] = ''")
        self.assertNotIn("auto_install", self.host.run("import unreachable_one").stderr)


if __name__ == "__main__":
    unittest.main()
