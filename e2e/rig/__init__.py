"""What the tests stand on: a server of their own, raw HTTP, and eyes on the host."""
