"""What a sandbox reaches. The outside is a network namespace of this host with addresses of its own
(rig/outside.py), so the suite needs no internet and leaves no packet on a real network."""

from __future__ import annotations

import contextlib
import socket

from rig import host, outside
from rig.case import Case, slow

#: Tries to connect; prints what came of it. Refusals and silence are both "no".
REACH = """
import socket
def reach(address, port, seconds=3):
    try:
        with socket.create_connection((address, port), seconds) as s:
            s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
            return b'200' in s.recv(64)
    except OSError:
        return False
def reached(addresses, port):
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(32) as each:
        tried = each.map(lambda address: reach(address, port), addresses)
        return [address for address, yes in zip(addresses, tried) if yes]
"""


class NetworkTest(Case):
    deadline_seconds = 300.0
    open_sandbox: str
    shut_sandbox: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        stack.enter_context(outside.internet())
        cls.open_sandbox = cls.rest.create(egress=True, idle_timeout_seconds=3600)
        stack.callback(cls.rest.close, cls.open_sandbox)
        cls.shut_sandbox = cls.rest.create(egress=False, idle_timeout_seconds=3600)
        stack.callback(cls.rest.close, cls.shut_sandbox)
        for sandbox in (cls.open_sandbox, cls.shut_sandbox):
            cls.rest.exec(sandbox, REACH)

    def reaches(self, sandbox: str, address: str, port: int) -> bool:
        # What is not reached costs the whole time, what is reached mostly none of it.
        seconds = 30 if address == outside.OUTSIDE and sandbox != self.shut_sandbox else 3
        ran = self.rest.exec(sandbox, f"print(reach({address!r}, {port}, {seconds}))")
        self.assert_ended(ran, 0, "ok", True)
        return ran.stdout.strip() == "True"

    def assert_none_reached(self, sandbox: str, addresses: list[str], port: int) -> None:
        """All at once: a host has an address for each sandbox, and none of them says no."""
        ran = self.rest.exec(sandbox, f"print(reached({addresses!r}, {port}))")
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(ran.stdout, "[]\n")

    def test_egress_reaches_the_outside(self) -> None:
        self.assertTrue(self.reaches(self.open_sandbox, outside.OUTSIDE, outside.PORT))

    def test_egress_is_the_default(self) -> None:
        sandbox = self.new_sandbox()
        self.rest.exec(sandbox, REACH)
        self.assertTrue(self.reaches(sandbox, outside.OUTSIDE, outside.PORT))

    def test_the_outside_sees_the_hosts_address(self) -> None:
        ran = self.rest.bash(
            self.open_sandbox, f"curl -sS --max-time 60 http://{outside.OUTSIDE}:{outside.PORT}/"
        )
        self.assertEqual(ran.stdout, f"you are {outside.GATEWAY}", ran.stderr)

    @slow
    def test_private_networks_and_metadata_are_not_reached(self) -> None:
        for kind, address in outside.FORBIDDEN.items():
            with self.subTest(kind):
                self.assertFalse(self.reaches(self.open_sandbox, address, outside.PORT))

    def test_the_host_is_not_reached_at_any_of_its_addresses(self) -> None:
        inside = self.rest.bash(self.open_sandbox, "ip -4 route show default").stdout.split()
        gateway = inside[inside.index("via") + 1]
        own = {"127.0.0.1", gateway, outside.GATEWAY, *host.addresses()}
        with outside.host_service("0.0.0.0") as port:
            self.assert_none_reached(self.open_sandbox, sorted(own), port)

    def test_the_api_is_not_reached(self) -> None:
        inside = self.rest.bash(self.open_sandbox, "ip -4 route show default").stdout.split()
        gateway = inside[inside.index("via") + 1]
        self.assert_none_reached(
            self.open_sandbox,
            ["127.0.0.1", "10.0.2.2", gateway, *host.addresses()],
            self.server.port,
        )

    def test_another_sandbox_is_not_reached(self) -> None:
        serve = "import socket\nlistener = socket.create_server(('0.0.0.0', 8111))"
        other = self.new_sandbox()
        self.rest.exec(other, serve)
        address = self.rest.bash(other, "hostname -I").stdout.split()[0]
        mine = self.rest.bash(self.open_sandbox, "hostname -I").stdout.split()[0]
        if address != mine:
            self.assertFalse(self.reaches(self.open_sandbox, address, 8111))
        neighbours = self.rest.bash(self.open_sandbox, "ip -4 neigh show").stdout
        self.assertNotIn("8111", neighbours)

    def test_without_egress_the_interface_is_up_and_every_packet_dies(self) -> None:
        link = self.rest.bash(
            self.shut_sandbox, "ip -o link show eth0; ip -4 -o addr show eth0"
        ).stdout
        self.assertRegex(link, r"<[^>]*\bUP\b")
        self.assertIn("inet ", link)
        self.assertFalse(self.reaches(self.shut_sandbox, outside.OUTSIDE, outside.PORT))
        with outside.host_service("0.0.0.0") as port:
            addresses = ["10.0.2.2", outside.GATEWAY, *host.addresses()]
            self.assert_none_reached(self.shut_sandbox, addresses, port)

    @slow
    def test_without_egress_no_name_is_looked_up(self) -> None:
        ran = self.rest.bash(self.shut_sandbox, "timeout 15 getent hosts example.org")
        self.assertNotEqual(ran.code, 0)
        self.assertEqual(ran.stdout, "")

    def test_a_resolver_is_configured(self) -> None:
        ran = self.rest.bash(self.open_sandbox, "grep -c '^nameserver ' /etc/resolv.conf")
        self.assertEqual(ran.stdout, "1\n")

    def test_datagrams_to_the_host_die_too(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.bind(("0.0.0.0", 0))
            ear.settimeout(2)
            port = ear.getsockname()[1]
            targets = ["10.0.2.2", outside.GATEWAY, *host.addresses(), "255.255.255.255"]
            self.rest.exec(
                self.open_sandbox,
                "import socket\n"
                "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for target in {targets!r}:\n"
                f"    try: s.sendto(b'knock', (target, {port}))\n"
                "    except OSError: pass",
            )
            with self.assertRaises(socket.timeout):
                ear.recvfrom(64)

    def test_a_sandbox_that_forges_its_address_reaches_nothing_more(self) -> None:
        sandbox = self.new_sandbox()
        self.rest.exec(sandbox, REACH)
        self.rest.bash(
            sandbox,
            "ip addr add 127.0.0.77/32 dev eth0; ip addr add 10.203.113.77/8 dev eth0;"
            " ip route add 10.203.113.10/32 dev eth0; ip route replace 169.254.169.254/32 dev eth0",
        )
        for address in ("10.203.113.10", "169.254.169.254"):
            self.assertFalse(self.reaches(sandbox, address, outside.PORT))
