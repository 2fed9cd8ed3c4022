"""`python -m tests.usage.spender FOLDER URL WORKERS`: reserve and settle for ever; a line in FOLDER/said before and after each step."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sandql.usage.ledger import Ledger
from sandql.usage.meter import Cost
from tests.usage.ledgers import ALICE, RUN, a_ledger, executions


async def _spend(ledger: Ledger, said: int) -> None:
    while True:
        reserved = await ledger.reserve(ALICE, "local", "python", RUN)
        os.write(said, b"reserved\n")
        await asyncio.sleep(0)
        os.write(said, b"settling\n")
        reserved.settle(Cost(wall_ms=1, cpu_ms=10, memory_kib=1))
        os.write(said, b"settled\n")


async def _main(folder: Path, url: str, workers: int) -> None:
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    async with a_ledger(url or None, folder, executions(10**9)) as (ledger, _):
        await asyncio.gather(*(_spend(ledger, said) for _ in range(workers)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
