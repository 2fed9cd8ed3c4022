"""A server for tests that kill it: runs programs for eight callers, and says of each file that it is written once it is.

Called with the state folder; prints `ready`, then `ack <name>` for each file that it has written into a home.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sandql.core.settings import load_settings
from sandql.providers.registry import make_provider
from tests.faults.load import under_load


def content_of(name: str) -> bytes:
    """What a file of that name must hold."""
    return f"{name}\n".encode() * 2000


async def main(state_dir: Path, prefix: str) -> None:
    provider = make_provider("local", load_settings(state_dir=state_dir, pool_size=4, node_pool_size=0, program_pool_size=0))
    await provider.start()
    async with under_load(provider):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        number = 0
        while True:
            name = f"{prefix}-{number % 50}.txt"  # over old ones as well
            async with provider.home("writer") as sandbox:
                await sandbox.files.write(name, content_of(name))
            sys.stdout.write(f"ack {name}\n")
            sys.stdout.flush()
            number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
