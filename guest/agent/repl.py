"""The user's Python process. The agent starts it as `python3 repl.py [WARM_SCRIPT]`, with its
control socket and mailbox as descriptors 3 and 4, and the output pipes as 1 and 2."""

import sys

from podflare_repl.process import main

main(sys.argv[1] if len(sys.argv) > 1 else None)
