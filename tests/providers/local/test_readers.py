"""Descriptors that are watched together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from sandql.providers.local.readers import Readers

pytestmark = pytest.mark.unit


@contextmanager
def pipes(count: int) -> Generator[list[tuple[int, int]]]:
    made = [os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) for _ in range(count)]
    try:
        yield made
    finally:
        for fd in {fd for pair in made for fd in pair}:
            os.close(fd)


def test_each_is_called_back_for_what_it_has() -> None:
    async def test() -> None:
        readers = Readers()
        read: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        with pipes(3) as made:
            for number, (r, _) in enumerate(made):
                readers.add(r, lambda number=number, r=r: read.put_nowait((number, os.read(r, 9))))
            for number, (_, w) in enumerate(made):
                os.write(w, b"%d" % number)
            assert sorted([await read.get() for _ in made]) == [(0, b"0"), (1, b"1"), (2, b"2")]
            for r, _ in made:
                readers.remove(r)
            readers.close()

    asyncio.run(asyncio.wait_for(test(), 10))


def test_one_that_another_has_removed_is_not_called() -> None:
    async def test() -> None:
        readers = Readers()
        called: list[int] = []
        news = asyncio.Event()
        with pipes(2) as made:
            ends = [r for r, _ in made]

            def only_once(r: int) -> None:
                called.append(r)
                news.set()
                for end in ends:
                    readers.remove(end)

            for r, w in made:
                os.write(w, b"x")
                readers.add(r, lambda r=r: only_once(r))
            await news.wait()
            assert len(called) == 1
            readers.remove(ends[0])  # once more does nothing
            readers.close()

    asyncio.run(asyncio.wait_for(test(), 10))


def test_what_is_watched_when_it_is_closed_is_watched_to_its_end() -> None:
    async def test() -> None:
        before = set(os.listdir("/proc/self/fd"))
        readers = Readers()
        ended = asyncio.Event()
        with pipes(1) as [(r, w)]:
            readers.add(r, ended.set)
            readers.close()
            os.write(w, b"x")
            await ended.wait()
            readers.remove(r)
            readers.add(r, ended.set)  # too late: nobody is called
        assert set(os.listdir("/proc/self/fd")) == before

    asyncio.run(asyncio.wait_for(test(), 10))
