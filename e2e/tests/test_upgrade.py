"""A Space outlives the version of QEMU that froze it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

from rig.case import Case, slow
from rig.server import REPOSITORY

PART_OF_THE_RIG = """
import contextlib, os, sys
from pathlib import Path
sys.dont_write_bytecode = True
sys.path[:0] = ["rig", "guest/image"]
from emulated import disks
from emulated.store import Store
store = Store(Path(os.environ.get("PODFLARE_RIG_DIR", "/var/lib/podflare/rig")))
with store.locked(), contextlib.redirect_stdout(sys.stderr):
    root = store.get("root", disks.root_key(None), lambda out: disks.build_root(out, None))
print(root / "root.erofs")
"""


@slow
class UpgradeTest(Case):
    """The suite's server with the QEMU of the rig, which is that of the guest's distribution, in turn with the
    host's own: on Debian 12, 10.0 and 7.2."""

    deadline_seconds = 900.0
    other: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory(prefix="pf-e2e-qemu-")
        cls.addClassCleanup(temporary.cleanup)
        cls.other = Path(temporary.name, "root")
        built = subprocess.run(
            [sys.executable, "-c", PART_OF_THE_RIG],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True, timeout=600,
        )  # fmt: skip
        subprocess.run(
            ["fsck.erofs", f"--extract={cls.other}", "--preserve", built.stdout.strip()],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        # Its directory must be open to the user of each machine, as the host's own is.
        os.chmod(temporary.name, 0o755)

    def upgraded(self, to: Path | None) -> str:
        """Has the server start again, with the QEMU below this directory, or the host's; says its version."""
        self.assertEqual(self.server.stop().returncode, 0)
        if to is None:
            del self.server.extra["PODFLARE_QEMU_ROOT"]
        else:
            self.server.extra["PODFLARE_QEMU_ROOT"] = str(to)
        self.server.start()
        return str(self.server.status()["engine"])

    def restore(self) -> None:
        if "PODFLARE_QEMU_ROOT" in self.server.extra:
            self.upgraded(None)

    def goes_on(self, space: str, engine: str) -> str:
        """Wakes it, sees that all is there and that it can be forked, and freezes it again."""
        with self.subTest(f"woken by {engine}"):
            sandbox = self.resume(space)
            self.assertEqual(
                self.said(
                    sandbox,
                    "at = ticks\ntime.sleep(0.5)\n"
                    "print(ticks > at, int(a.sum()), open('/root/kept').read(), float(np.sqrt(a[4])),"
                    f" abs(time.time() - {time.time()}) < 30)",
                ),
                "True 499999500000 on disk 2.0 True\n",
            )
            (child,) = self.fork(sandbox)
            self.assertEqual(self.said(child, "print(int(a.sum()))"), "499999500000\n")
            return self.freeze(sandbox)

    def test_a_space_wakes_under_another_version_of_qemu_and_back_again(self) -> None:
        own = str(self.server.status()["engine"])
        sandbox = self.new_sandbox()
        self.said(
            sandbox,
            "import threading, time\nimport numpy as np\na = np.arange(1e6)\nticks = 0\n"
            "def tick():\n  global ticks\n  while True: ticks += 1; time.sleep(0.02)\n"
            "threading.Thread(target=tick, daemon=True).start()\n"
            "with open('/root/kept', 'w') as file: print('on disk', end='', file=file)",
        )
        first = self.freeze(sandbox)
        self.addCleanup(self.restore)
        # Templates outlive it too: the server starts within its usual deadline, in which none is built.
        other = self.upgraded(self.other)
        second = self.goes_on(first, other)
        born = self.new_sandbox()
        self.said(born, "x = 'born under the other'")
        third = self.freeze(born)
        self.assertEqual(self.upgraded(None), own)
        self.goes_on(second, own)
        self.goes_on(first, own)
        self.assertEqual(self.said(self.resume(third), "print(x)"), "born under the other\n")
