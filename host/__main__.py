"""Entry point: `python3 -m host COMMAND`; `make` calls it through host/run.sh."""

import sys

from host.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
