"""Which distribution a host's image is made of."""

import unittest

from recipe import distribution
from recipe.failure import BuildFailure


class DistributionOfAHost(unittest.TestCase):
    def of(self, text: str) -> tuple[str, str]:
        release, codename = distribution.of_host(distribution.parse_os_release(text))
        return release.suite, codename

    def test_an_older_debian_builds_trixie_from_its_own_mirror(self) -> None:
        self.assertEqual(
            self.of('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_CODENAME=bookworm\n'),
            ("trixie", "bookworm"),
        )

    def test_a_derivative_of_ubuntu_counts_as_the_ubuntu_it_follows(self) -> None:
        self.assertEqual(
            self.of('ID=linuxmint\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=jammy\n'),
            ("noble", "jammy"),
        )

    def test_another_distribution_is_refused_by_name(self) -> None:
        with self.assertRaisesRegex(BuildFailure, "Fedora Linux 41"):
            self.of('PRETTY_NAME="Fedora Linux 41"\nID=fedora\n')


if __name__ == "__main__":
    unittest.main()
