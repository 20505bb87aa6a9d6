"""One Podflare server, driven as a user drives it: by `podflare up` and `podflare down`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rig import host
from rig.deadline import eventually
from rig.rest import Rest

REPOSITORY = Path(__file__).resolve().parents[2]
PODFLARE = REPOSITORY / "podflare"

#: `up` may have to install packages, build, make the image and boot the template.
FIRST_START_DEADLINE = 2400.0
START_DEADLINE = 240.0
COMMAND_DEADLINE = 120.0

#: What the caller may have set for a server of his own. PODFLARE_IMAGE_DIR is shared.
NOT_INHERITED = {
    "PODFLARE_API_KEY",
    "PODFLARE_API_KEYS",
    "PODFLARE_AUTH_DISABLED",
    "PODFLARE_DATA_DIR",
    "PODFLARE_HOST",
    "PODFLARE_HOSTD_ADDR",
    "PODFLARE_HOSTD_URL",
    "PODFLARE_RESOLV_CONF",
    "PODFLARE_TRACEPARENT",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server with its own data directory, credentials and port.

    It accepts two keys, so that a test can see what one owner sees of another.
    """

    def __init__(self, data_dir: Path, config_home: Path):
        self.data_dir = data_dir
        self.config_home = config_home
        self.port = free_port()
        self.keys = (f"pf_live_{secrets.token_hex(32)}", f"pf_live_{secrets.token_hex(32)}")
        self.extra: dict[str, str] = {"PODFLARE_API_KEYS": ",".join(self.keys)}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def own_key(self) -> str:
        """The key that the server made, with which the commands of this machine come in."""
        return json.loads(self.credentials.read_text())["api_key"]

    @property
    def credentials(self) -> Path:
        return self.config_home / "podflare" / "config.json"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of commands: the caller's, without the settings that name a server."""
        own = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        own["XDG_CONFIG_HOME"] = str(self.config_home)
        return {**own, **(extra or {})}

    def client_environment(self) -> dict[str, str]:
        """The environment of a program that uses this server."""
        return self.environment(
            {
                "PODFLARE_HOSTD_URL": self.url,
                "PODFLARE_API_KEY": self.keys[0],
                "PYTHONPATH": str(REPOSITORY / "sdk" / "python" / "src"),
            }
        )

    def command(
        self,
        *arguments: str,
        deadline: float = COMMAND_DEADLINE,
        extra: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `podflare ARGUMENTS` against this server and returns what it said."""
        # Address and key are those of the configuration file that the server has written.
        own = {"PODFLARE_HOSTD_ADDR": self.address, "PODFLARE_DATA_DIR": str(self.data_dir)}
        return subprocess.run(
            [str(PODFLARE), *arguments],
            env=self.environment({**own, **(extra or {})}),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def name_resolvers(self, *addresses: str) -> None:
        """Has sandboxes ask these for names, as if they were this host's. A server that runs follows within
        a second, which is waited for."""
        self.config_home.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"nameserver {address}\n" for address in addresses)
        (self.config_home / "resolv.conf").write_text(lines)
        eventually("the sandboxes' networks follow", lambda: self._ask(addresses), 20)

    def _ask(self, addresses: tuple[str, ...]) -> bool:
        """Whether every machine's network sends questions for names there, and nowhere else."""
        for lease in host.leases_of(self.data_dir):
            rules = host.as_root(
                "ip", "netns", "exec", f"pf{lease}",
                "nft", "list", "table", "ip", "podflare_names", check=False,
            )  # fmt: skip
            asked = tuple(re.findall(r"dnat to ([0-9.]+)", rules))
            if rules and not set(asked) == set(addresses):
                return False
        return True

    def start(self, deadline: float = START_DEADLINE) -> None:
        """Returns once the server is ready to serve; raises with what `up` said if it is not.

        Its sandboxes have no resolver until a test names one: none of them asks the real internet."""
        resolvers = self.config_home / "resolv.conf"
        if not resolvers.exists():
            self.name_resolvers()
        said = subprocess.run(
            [
                str(PODFLARE),
                "up",
                "--detach",
                "--addr",
                self.address,
                "--data-dir",
                str(self.data_dir),
            ],  # fmt: skip
            env=self.environment({**self.extra, "PODFLARE_RESOLV_CONF": str(resolvers)}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=deadline,
            check=False,
        )
        if said.returncode != 0:
            raise RuntimeError(f"podflare up ended with {said.returncode}:\n{said.stdout}")
        self.banner = said.stdout

    def stop(self, deadline: float = COMMAND_DEADLINE) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PODFLARE), "down", "--data-dir", str(self.data_dir)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def kill(self) -> None:
        """Ends the server as a crash would, and returns when its process is gone."""
        pid = self.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually(f"the end of server {pid}", lambda: not _lives(pid))

    def status(self) -> dict[str, Any]:
        said = self.command("status", "--json")
        if said.returncode != 0:
            raise RuntimeError(f"podflare status ended with {said.returncode}: {said.stderr}")
        return json.loads(said.stdout)

    @property
    def pid(self) -> int:
        """The process that serves, as its data directory names it; `podflare status` takes a second to say so."""
        try:
            process = json.loads((self.data_dir / "server.json").read_text())["process"]
        except FileNotFoundError:
            raise RuntimeError(f"no server runs on {self.data_dir}") from None
        if not host.is_running(process["pid"], process["startTicks"]):
            raise RuntimeError(f"the server of {self.data_dir} has ended")
        return int(process["pid"])

    @property
    def isolation(self) -> str:
        return self.status()["isolation"]

    def files_with(self, text: str) -> list[Path]:
        """The files of the data directory that hold this text; disk and memory images left out."""
        wanted, limit = text.encode(), 64 << 20
        return [
            path
            for path in self.data_dir.rglob("*")
            if path.is_file() and path.stat().st_size < limit and wanted in path.read_bytes()
        ]

    def rest(self, key: str | None = "") -> Rest:
        """Raw HTTP with the first key, or with the key given; None sends none."""
        return Rest("127.0.0.1", self.port, self.keys[0] if key == "" else key)


def _lives(pid: int) -> bool:
    """Whether a process runs. A zombie does not: its parent, not we, has to take its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
