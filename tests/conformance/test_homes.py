"""Files that are kept."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from sandql.core.errors import BadRequest, NotFound, PayloadTooLarge, ResourceError
from sandql.core.values import Completed, FileType, MiB, Outcome, Output, RunRequest
from sandql.providers.base import Provider
from tests.support.engine import run, stream

pytestmark = pytest.mark.unprivileged


async def test_what_is_written_is_read_listed_and_run(provider: Provider) -> None:
    async with provider.home("files") as sandbox:
        await sandbox.files.write("a/b.txt", b"\x00\xff")
        await sandbox.files.write("ünï ☃.txt", "☃".encode())
        assert await sandbox.files.read("a/b.txt", max_bytes=2) == b"\x00\xff"
        entries = await sandbox.files.list("", recursive=True)
    assert [(entry.path, entry.type, entry.size) for entry in entries if entry.type is FileType.FILE] == [
        ("a/b.txt", FileType.FILE, 2),
        ("ünï ☃.txt", FileType.FILE, 3),
    ]
    done = await run(provider, "print(open('a/b.txt', 'rb').read(), open('ünï ☃.txt').read())", home="files")
    assert done.stdout == "b'\\x00\\xff' ☃\n".encode()


async def test_what_a_program_writes_is_kept_for_later(provider: Provider) -> None:
    assert (await run(provider, "open('made.txt', 'w').write('by a program')", home="kept")).outcome is Outcome.COMPLETED
    assert (await run(provider, "print(open('made.txt').read())", home="kept")).stdout == b"by a program\n"
    async with provider.home("kept") as sandbox:
        assert await sandbox.files.read("made.txt", max_bytes=100) == b"by a program"
        assert [entry.path for entry in await sandbox.files.list("")] == ["made.txt"], "the program's own file is left"
        await sandbox.files.write("made.txt", b"by the server")
    assert (await run(provider, "open('made.txt', 'a').write('!')\nprint(open('made.txt').read())", home="kept")).stdout == b"by the server!\n"


async def test_only_files_outlive_a_run_in_a_home(provider: Provider) -> None:
    code = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\nopen('/tmp/left', 'w').close()"
    await run(provider, code, home="runs")
    look = "import os\nprint(os.path.exists('/tmp/left'), len([p for p in os.listdir('/proc') if p.isdigit()]))"
    fresh = await run(provider, look)
    assert (await run(provider, look, home="runs")).stdout == fresh.stdout
    assert fresh.stdout.startswith(b"False")


async def test_programs_in_one_home_reach_each_other(provider: Provider) -> None:
    serve = "import socket\nserver = socket.create_server(('127.0.0.1', 8080))\nprint('up', flush=True)\nserver.accept()[0].sendall(b'hello')"
    ask = "import socket\nprint(socket.create_connection(('127.0.0.1', 8080)).recv(5).decode())"
    async with provider.home("one network") as sandbox, aclosing(stream(sandbox, RunRequest("python", serve.encode()))) as events:
        async for event in events:
            if isinstance(event, Output):
                assert (await run(provider, ask, home="another network")).outcome is Outcome.FAILED
                assert (await run(provider, ask)).outcome is Outcome.FAILED
                assert (await run(provider, ask, home="one network")).stdout == b"hello\n"
            elif isinstance(event, Completed):
                assert event.execution.success


async def test_owners_are_apart(provider: Provider) -> None:
    async with provider.home("alice") as alice, provider.home("bob") as bob:
        await alice.files.write("secret.txt", b"alice's")
        assert await bob.files.list("") == []
        with pytest.raises(NotFound):
            await bob.files.read("secret.txt", max_bytes=100)
    look = """
import os
tops = [f'/{name}' for name in os.listdir('/') if name not in ('proc', 'usr', 'sys') and not os.path.islink(f'/{name}')]
print([f'{folder}/{name}' for top in tops for folder, _, names in os.walk(top) for name in names if name == 'secret.txt'])
"""
    assert (await run(provider, look, home="bob")).stdout == b"[]\n"
    assert (await run(provider, look)).stdout == b"[]\n"
    assert (await run(provider, look, home="alice")).stdout == b"['/workspace/secret.txt']\n"


async def test_owners_may_be_any_text(provider: Provider) -> None:
    owners = ("", "..", "../alice", "a/b", "ü ☃", "x" * 5000, "Alice", "alice ")
    for number, owner in enumerate(owners):
        async with provider.home(owner) as sandbox:
            await sandbox.files.write("who.txt", b"%d" % number)
    for number, owner in enumerate(owners):
        async with provider.home(owner) as sandbox:
            assert await sandbox.files.read("who.txt", max_bytes=10) == b"%d" % number


async def test_a_home_that_many_ask_for_at_once_is_one(provider: Provider) -> None:
    async def write(number: int) -> None:
        async with provider.home("new for all") as sandbox:
            await sandbox.files.write(f"{number}.txt", b"")

    await asyncio.gather(*(write(number) for number in range(8)))
    async with provider.home("new for all") as sandbox:
        assert [entry.name for entry in await sandbox.files.list("")] == [f"{number}.txt" for number in range(8)]


async def test_refusals_say_why(provider: Provider) -> None:
    async with provider.home("refusals") as sandbox:
        await sandbox.files.write("file", b"12345")
        with pytest.raises(NotFound, match=r"missing\.txt"):
            await sandbox.files.read("missing.txt", max_bytes=10)
        with pytest.raises(NotFound, match="nowhere"):
            await sandbox.files.list("nowhere")
        with pytest.raises(PayloadTooLarge, match=r"4 bytes.* 5"):
            await sandbox.files.read("file", max_bytes=4)
        with pytest.raises(BadRequest):
            await sandbox.files.list("file")
        with pytest.raises(BadRequest):
            await sandbox.files.write("file/below", b"")
        with pytest.raises(BadRequest):
            await sandbox.files.read("", max_bytes=10)
        assert [entry.path for entry in await sandbox.files.list("", recursive=True)] == ["file"]


async def test_a_link_that_leads_out_is_listed_and_never_followed(provider: Provider) -> None:
    code = "import os\nos.symlink('/etc/hostname', 'link')\nos.symlink('/etc', 'folder')\nos.mkfifo('fifo')"
    await run(provider, code, home="links")
    async with asyncio.timeout(10), provider.home("links") as sandbox:
        kinds = {entry.path: entry.type for entry in await sandbox.files.list("", recursive=True)}
        assert kinds == {"link": FileType.SYMLINK, "folder": FileType.SYMLINK, "fifo": FileType.OTHER}
        for path in ("link", "folder/hostname", "fifo"):
            with pytest.raises(BadRequest):
                await sandbox.files.read(path, max_bytes=1000)
        with pytest.raises(BadRequest):
            await sandbox.files.write("folder/planted", b"")


async def test_a_home_that_is_full_refuses_and_changes_nothing(provider: Provider) -> None:
    async with provider.home("full") as sandbox:
        for number in range(256):
            try:
                await sandbox.files.write(f"{number}.bin", bytes(16 * MiB))
            except ResourceError as error:
                assert "workspace" in error.message
                break
        else:
            raise AssertionError("a home took 4 GiB")
        names = {entry.name for entry in await sandbox.files.list("")}
        assert names == {f"{before}.bin" for before in range(number)}
        await sandbox.files.write("0.bin", b"small")  # what frees room is let through
        assert await sandbox.files.read("0.bin", max_bytes=10) == b"small"


async def test_a_fresh_sandbox_keeps_no_files(provider: Provider) -> None:
    async with provider.fresh() as sandbox:
        with pytest.raises(BadRequest, match="home"):
            await sandbox.files.list("")
        with pytest.raises(BadRequest, match="home"):
            await sandbox.files.write("a", b"")
