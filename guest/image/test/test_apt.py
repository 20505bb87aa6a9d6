"""Reading the distribution's archive out of a host's apt configuration."""

import tempfile
import unittest
from pathlib import Path

from recipe import apt
from recipe.distribution import DEBIAN, UBUNTU
from recipe.failure import BuildFailure

DEBIAN_DEB822 = """\
Types: deb deb-src
# where it came from
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

UBUNTU_ONE_LINE = """\
# See the release notes
deb http://mirror.example/ubuntu/ jammy main restricted universe
# deb-src http://mirror.example/ubuntu/ jammy main
deb [arch=amd64] http://mirror.example/ubuntu/ jammy-updates main universe # with a comment
deb http://security.example/ubuntu jammy-security main universe
"""

THIRD_PARTIES = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/vendor.gpg] https://vendor.example/debian bookworm main
deb [signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/linux/debian bookworm stable
deb https://sdk.example/apt cloud-sdk-bookworm main
deb https://node.example/node_20.x nodistro main
deb-src http://mirror.example/debian bookworm main
deb cdrom:[Debian_12]/ bookworm main
"""


class FindingTheArchive(unittest.TestCase):
    def test_deb822_sources_give_archive_updates_and_security(self) -> None:
        archive = apt.find_archive(list(apt.parse_deb822(DEBIAN_DEB822)), DEBIAN, "bookworm")
        self.assertEqual(
            archive,
            apt.Archive(
                "http://mirror.example/debian", True, "http://mirror.example/debian-security"
            ),
        )

    def test_one_line_sources_give_archive_updates_and_security(self) -> None:
        archive = apt.find_archive(list(apt.parse_list(UBUNTU_ONE_LINE)), UBUNTU, "jammy")
        self.assertEqual(
            archive,
            apt.Archive("http://mirror.example/ubuntu/", True, "http://security.example/ubuntu"),
        )

    def test_third_parties_alone_are_no_archive(self) -> None:
        self.assertIsNone(
            apt.find_archive(list(apt.parse_list(THIRD_PARTIES)), DEBIAN, "bookworm")
        )

    def test_third_parties_before_the_archive_do_not_hide_it(self) -> None:
        entries = [*apt.parse_list(THIRD_PARTIES), *apt.parse_deb822(DEBIAN_DEB822)]
        archive = apt.find_archive(entries, DEBIAN, "bookworm")
        assert archive
        self.assertEqual(archive.uri, "http://mirror.example/debian")

    def test_a_third_party_without_key_that_imitates_suite_and_component_comes_second(self) -> None:
        entries = [
            *apt.parse_list("deb https://vendor.example/debian/12/prod bookworm main"),
            *apt.parse_list("deb http://mirror.example/debian bookworm main"),
        ]
        archive = apt.find_archive(entries, DEBIAN, "bookworm")
        assert archive
        self.assertEqual(archive.uri, "http://mirror.example/debian")

    def test_disabled_paragraphs_and_embedded_keys_are_ignored(self) -> None:
        text = (
            "Enabled: no\n" + DEBIAN_DEB822.split("\n\n")[0] + "\n\n"
            "Types: deb\nURIs: https://vendor.example/debian\nSuites: bookworm\n"
            "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n"
        )
        self.assertIsNone(apt.find_archive(list(apt.parse_deb822(text)), DEBIAN, "bookworm"))

    def test_a_mirror_list_in_a_file_gives_its_first_mirror(self) -> None:
        text = DEBIAN_DEB822.replace(
            "http://mirror.example/debian-security", "mirror+file:///etc/apt/mirrors/security.list"
        ).replace("http://mirror.example/debian", "mirror+file:/etc/apt/mirrors/debian.list")
        lists = {
            "/etc/apt/mirrors/debian.list": "# ours\nhttps://near.example/debian\tpriority:1\n",
            "/etc/apt/mirrors/security.list": "https://near.example/debian-security\n",
        }
        archive = apt.find_archive(
            list(apt.parse_deb822(text)), DEBIAN, "bookworm", lambda path: lists[str(path)]
        )
        self.assertEqual(
            archive,
            apt.Archive(
                "https://near.example/debian", True, "https://near.example/debian-security"
            ),
        )

    def test_a_host_that_follows_stable_by_name_has_an_archive(self) -> None:
        entries = list(apt.parse_list("deb http://mirror.example/debian stable main"))
        self.assertEqual(
            apt.find_archive(entries, DEBIAN, "trixie"),
            apt.Archive("http://mirror.example/debian", False, None),
        )

    def test_both_styles_are_read_from_a_directory_and_switched_off_files_are_not(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            parts = root / "sources.list.d"
            parts.mkdir()
            (root / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
            (parts / "debian.sources").write_text(DEBIAN_DEB822)
            (parts / "old.sources.disabled").write_text(DEBIAN_DEB822)
            (parts / "more.list").write_text("deb http://b.example/debian bookworm main\n")
            uris = [uri for entry in apt.read_entries(root) for uri in entry.uris]
        self.assertEqual(
            uris,
            [
                "http://a.example/debian",
                "http://mirror.example/debian",
                "http://mirror.example/debian-security",
                "http://b.example/debian",
            ],
        )


class SourcesOfTheGuest(unittest.TestCase):
    def test_sources_name_the_guest_release_and_the_distribution_keyring(self) -> None:
        archive = apt.Archive("http://m.example/debian", True, "http://m.example/debian-security")
        key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        self.assertEqual(
            apt.sources(archive, DEBIAN),
            [
                f"deb {key} http://m.example/debian trixie main",
                f"deb {key} http://m.example/debian trixie-updates main",
                f"deb {key} http://m.example/debian-security trixie-security main",
            ],
        )

    def test_user_and_password_of_a_mirror_stay_out_of_the_guest(self) -> None:
        self.assertEqual(
            apt.without_credentials("deb [signed-by=/k] https://me:pw@m.example/debian a main"),
            "deb [signed-by=/k] https://m.example/debian a main",
        )

    def test_an_address_with_a_space_is_refused(self) -> None:
        with self.assertRaises(BuildFailure):
            apt.check_address("https://m.example/debian trixie main\ndeb http://other.example/")


if __name__ == "__main__":
    unittest.main()
