"""What is in a program's pipes at its end is read; who goes on writing is not waited for."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandql.core.values import Stream
from sandql.providers.local.readers import Readers
from sandql.providers.local.run import CellRun

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_PIPE_BYTES = 65_536


async def test_a_pipe_that_is_filled_again_and_again() -> None:
    (stdout_r, stdout_w), (stderr_r, stderr_w), (status_r, status_w), (job_r, job_w) = (os.pipe2(os.O_NONBLOCK) for _ in range(4))
    cell = cast(Any, SimpleNamespace(stdout_r=stdout_r, stderr_r=stderr_r, status_r=status_r, job_w=job_w))
    read: list[tuple[Stream, int]] = []

    def fill_again(stream: Stream, data: bytes) -> None:
        read.append((stream, len(data)))
        if stream is Stream.STDOUT and len(read) < 100:
            os.write(stdout_w, bytes(_PIPE_BYTES))

    readers = Readers()
    run = CellRun(cell, b"job", fill_again, readers, interactive=True)
    run.start(patient=True)
    os.write(stdout_w, bytes(_PIPE_BYTES))
    os.write(stderr_w, b"error")
    os.close(stderr_w)
    run.drain()
    assert read == [(Stream.STDOUT, _PIPE_BYTES), (Stream.STDERR, 5)]
    run.close()
    readers.close()
    await asyncio.sleep(0)
    for fd in (stdout_r, stdout_w, stderr_r, status_r, status_w, job_r, job_w):
        os.close(fd)
