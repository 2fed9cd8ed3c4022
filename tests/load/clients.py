"""Many clients in a process of their own: `python -m tests.load.clients <url> <how many> <seconds>`, which prints what came of it as JSON.

Beside the server and not in the test, so that the two do not wait for each other.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.load.callers import call_for_ever
from tests.load.ledger import Ledger


async def have_called(url: str, clients: int, seconds: float) -> Ledger:
    """Have so many clients at work for so long."""
    ledger = Ledger()
    tasks = [asyncio.ensure_future(call_for_ever(url, ledger, number)) for number in range(clients)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            ledger.wrong.append(repr(ended))
    return ledger


if __name__ == "__main__":
    found = asyncio.run(have_called(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(json.dumps({"done": found.done, "wrong": found.wrong}) + "\n")
