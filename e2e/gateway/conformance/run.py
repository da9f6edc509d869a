"""Starts the engines and the gateways, and tells what differs. The last line is "N passed, N failed[, N skipped]"."""

import sys
import tempfile
from pathlib import Path

from client import Clients
from same import compare_all
import tell
from world import World


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            llama, simulator = world.llama(), world.simulator()
            compare_all(llama, words_may_differ=False)
            compare_all(simulator, words_may_differ=True)
            for engine in (llama, simulator):
                Clients(engine).run()
        finally:
            world.end()
    print(tell.summary())
    return 1 if tell.failed else 0


if __name__ == "__main__":
    sys.exit(main())
