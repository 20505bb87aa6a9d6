"""What a sandbox reaches. The outside is a network namespace of this host with addresses of its own
(rig/outside.py), so the suite needs no internet and leaves no packet on a real network."""

from __future__ import annotations

import contextlib
import socket
import time

from rig import host, outside
from rig.case import Case, slow
from rig.deadline import eventually

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


#: Everything that a program does with a network; prints a line for each.
USE = f"""
import socket, ssl, urllib.request
print(socket.gethostbyname({outside.NAME!r}))
print(len(socket.gethostbyname_ex('long.example')[2]))
try:
    socket.gethostbyname('nowhere.example')
except socket.gaierror as error:
    print(error.strerror)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(30)
    s.sendto(b'ping', ({outside.NAME!r}, {outside.ECHO_PORT}))
    print(s.recv(100))
print(urllib.request.urlopen('http://{outside.NAME}/', timeout=30).read())
trusted = ssl.create_default_context(cadata=open('/tmp/outside.pem').read())
print(urllib.request.urlopen('https://{outside.NAME}/', timeout=30, context=trusted).read())
"""
USED = [
    outside.OUTSIDE,
    "80",
    "Name or service not known",
    "b'ping'",
    f"b'you are {outside.GATEWAY}'",
    f"b'you are {outside.GATEWAY}'",
]

#: The same by the programs that people use for it.
PROGRAMS = f"""
set -e
curl -sS --cacert /tmp/outside.pem https://{outside.NAME}/; echo
rm -rf goods; git clone -q http://{outside.NAME}/{outside.REPOSITORY} goods; cat goods/goods.txt
pip install -q --index-url http://{outside.NAME}/simple/ --trusted-host {outside.NAME} {outside.PACKAGE}
python3 -c 'import pf_outside; print(pf_outside.ORIGIN)'
"""
USED_BY_PROGRAMS = f"you are {outside.GATEWAY}\none of each\noutside\n"

#: What a refusal says, and that it comes at once: a hang would last for many seconds.
REFUSED = """
import socket, time
def refused(action):
    began = time.monotonic()
    try:
        action()
        said = 'no refusal'
    except OSError as error:
        said = error.strerror
    took = time.monotonic() - began
    print(said if took < 2 else f'{said} after {took:.1f} s')
def connect(address, port):
    socket.create_connection((address, port), 30)
def datagram(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(30)
        s.connect((address, port))
        s.send(b'x')
        s.recv(1)
"""


class NetworkTest(Case):
    deadline_seconds = 300.0
    open_sandbox: str
    shut_sandbox: str
    certificate: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.certificate = stack.enter_context(outside.internet())
        cls.server.name_resolvers(outside.RESOLVER)
        stack.callback(cls.server.name_resolvers)
        cls.open_sandbox = cls.rest.create(egress=True, idle_timeout_seconds=3600)
        stack.callback(cls.rest.close, cls.open_sandbox)
        cls.shut_sandbox = cls.rest.create(egress=False, idle_timeout_seconds=3600)
        stack.callback(cls.rest.close, cls.shut_sandbox)
        for sandbox in (cls.open_sandbox, cls.shut_sandbox):
            cls.rest.exec(sandbox, REACH)
            cls.rest.exec(sandbox, REFUSED)
        cls.trust(cls.open_sandbox)

    @classmethod
    def trust(cls, sandbox: str) -> None:
        cls.rest.put(sandbox, "/tmp/outside.pem", cls.certificate.encode())

    def assert_uses_the_network(self, sandbox: str) -> None:
        self.assertEqual(self.said(sandbox, USE).splitlines(), USED)

    def assert_refused_at_once(self, sandbox: str, expected: dict[str, str]) -> None:
        """What each step says, by what is done in it."""
        steps = "".join(f"refused(lambda: {step})\n" for step in expected)
        self.assertEqual(
            dict(zip(expected, self.said(sandbox, steps).splitlines(), strict=True)), expected
        )

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

    def test_names_datagrams_the_web_and_tls_in_a_new_sandbox_and_in_a_fork(self) -> None:
        self.assert_uses_the_network(self.open_sandbox)
        with self.subTest("a fork"):
            (child,) = self.fork(self.open_sandbox)
            self.assert_uses_the_network(child)

    def test_curl_git_and_pip(self) -> None:
        ran = self.rest.bash(self.open_sandbox, PROGRAMS)
        self.assertEqual(ran.stdout, USED_BY_PROGRAMS, ran.stderr)
        self.assertEqual(self.said(self.open_sandbox, "import pf_outside"), "")

    @slow
    def test_a_woken_space_uses_the_network(self) -> None:
        sandbox = self.new_sandbox()
        self.trust(sandbox)
        self.assert_uses_the_network(sandbox)
        woken = self.resume(self.freeze(sandbox))
        self.assert_uses_the_network(woken)
        ran = self.rest.bash(woken, PROGRAMS)
        self.assertEqual(ran.stdout, USED_BY_PROGRAMS, ran.stderr)

    def test_sandboxes_follow_the_hosts_resolvers(self) -> None:
        asked = "import socket; print(socket.gethostbyname('resolver.example'))"
        (child,) = self.fork(self.open_sandbox)
        self.addCleanup(self.server.name_resolvers, outside.RESOLVER)
        with self.subTest("another one"):
            self.server.name_resolvers(outside.OTHER_RESOLVER)
            # One that was made ahead of time follows as any other.
            for sandbox in (self.open_sandbox, child, self.new_sandbox()):
                eventually(
                    "the new resolver is asked",
                    lambda at=sandbox: self.said(at, asked) == f"{outside.OTHER_RESOLVER}\n",
                    30,
                )
        with self.subTest("the first of two is dead"):
            self.server.name_resolvers(outside.DEAD_RESOLVER, outside.RESOLVER)
            eventually(
                "the second resolver is asked",
                lambda: self.said(child, asked) == f"{outside.RESOLVER}\n",
                30,
            )
            began = time.monotonic()
            self.assertEqual(self.said(child, asked), f"{outside.RESOLVER}\n")
            self.assertLess(time.monotonic() - began, 5)
        with self.subTest("none"):
            self.server.name_resolvers()
            failure = "Temporary failure in name resolution"
            look_up = "refused(lambda: socket.gethostbyname('resolver.example'))"
            eventually(
                "names fail at once",
                lambda: self.said(child, look_up) == f"{failure}\n",
                30,
            )

    def test_a_firewall_of_the_host_that_drops_what_it_does_not_know_lets_sandboxes_through(
        self,
    ) -> None:
        with outside.closed_firewall():
            ran = self.rest.bash(
                self.open_sandbox, f"curl -sS --max-time 60 http://{outside.NAME}/"
            )
            self.assertEqual(ran.stdout, f"you are {outside.GATEWAY}", ran.stderr)
        self.assertTrue(self.reaches(self.open_sandbox, outside.OUTSIDE, outside.PORT))

    def test_what_is_not_the_outside_is_refused_at_once(self) -> None:
        expected = {
            f"{how}({address!r}, {outside.PORT})": "No route to host"
            for address in (*outside.FORBIDDEN.values(), "10.0.2.2", "198.18.0.1")
            for how in ("connect", "datagram")
        }
        own = {f"connect({outside.GATEWAY!r}, {outside.PORT})": "Connection refused"}
        self.assert_refused_at_once(self.open_sandbox, {**expected, **own})

    def test_without_egress_everything_fails_at_once(self) -> None:
        expected = {
            f"{how}({address!r}, {outside.PORT})": "Network is unreachable"
            for address in (outside.OUTSIDE, outside.GATEWAY, *outside.FORBIDDEN.values())
            for how in ("connect", "datagram")
        }
        names = {
            f"socket.gethostbyname({outside.NAME!r})": "Name or service not known",
            f"socket.getaddrinfo({outside.NAME!r}, 443)": "Name or service not known",
        }
        self.assert_refused_at_once(self.shut_sandbox, {**expected, **names})
        (child,) = self.fork(self.shut_sandbox)
        self.assert_refused_at_once(child, {**expected, **names})

    def test_its_own_name_resolves_without_a_network(self) -> None:
        look_up = (
            "import socket, time, http.server\n"
            "began = time.monotonic()\n"
            "print(socket.gethostbyname(socket.gethostname()), socket.getfqdn(), "
            "http.server.HTTPServer(('', 0), None).server_name)\n"
            "assert time.monotonic() - began < 2, time.monotonic() - began"
        )
        (child,) = self.fork(self.shut_sandbox)
        for sandbox in (self.open_sandbox, self.shut_sandbox, child):
            name = sandbox[:12].replace("_", "-")
            self.assertEqual(self.said(sandbox, look_up), f"127.0.1.1 {name} {name}\n")
            self.assertEqual(self.rest.bash(sandbox, "hostname -f").stdout, f"{name}\n")

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
