"""The audit log: who did what, to which sandbox, from where, and whether it was let happen. Only ever added to; each line seals those before.

Several processes may write to one log, the server and the command line beside it: each waits for its turn, and first looks where the chain is when
another has gone on with it.
"""

from __future__ import annotations

import contextlib
import os
import time
from errno import EIO
from functools import lru_cache
from pathlib import Path
from typing import Final

import structlog

from sandql.access.audit_chain import Broken, Link, first_seq, read_line, segment_name, segments, write_line
from sandql.access.audit_turn import audit_turn, open_folder
from sandql.core.errors import Forbidden, QuotaExceeded, ResourceError, SandqlError, Unauthenticated
from sandql.core.settings import Settings, SettingsError
from sandql.core.values import Caller

FOLDER: Final = "audit"
_MOST_CHARS: Final = 256  # of anything that a caller chose
_DENIALS: Final = (Forbidden, Unauthenticated, QuotaExceeded)
_BLOCK: Final = 64 * 1024

_log = structlog.get_logger("sandql.audit")


class Audit:
    """Writes the log of a folder. `close` it."""

    def __init__(self, folder: Path, segment_bytes: int, *, required: bool = False) -> None:
        """Go on with the log of a folder, or begin one.

        Raises:
            SettingsError: the folder cannot be used, or its last line is not what was written.
        """
        self._folder = folder
        self._most = segment_bytes
        self._required = required
        self._folder_fd = -1
        self._fd = -1
        self._size = 0
        self._lost = 0
        self._link = Link()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder_fd = open_folder(folder)
            with audit_turn(self._folder_fd):
                self._go_on()
        except (OSError, Broken) as error:
            self.close()
            raise SettingsError(
                f"SANDQL_AUDIT: the audit log in {str(folder)!r} cannot be gone on with: {error}; mend it, or move the folder away to begin anew"
            ) from None

    def close(self) -> None:
        """Close its files."""
        self._close_segment()
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def admitted(self, caller: Caller, operation: str, sandbox: str | None, id_: str | None) -> None:
        """A caller was let do something, and it has not begun.

        Raises:
            ResourceError: it cannot be written, and nothing is to be done without.
        """
        self._record(caller, operation, sandbox, id_, "allowed", None)

    def refused(self, caller: Caller, operation: str, sandbox: str | None, id_: str | None, error: SandqlError) -> None:
        """Something that a caller wanted was not done, or came to nothing."""
        decision = "denied" if is_denial(error) else "failed"
        with contextlib.suppress(ResourceError):  # it is refused already
            self._record(caller, operation, sandbox, id_, decision, error.code)

    def unauthenticated(self, address: str | None, reason: str) -> None:
        """Somebody could not prove who it is. `reason` is a word of ours, and holds nothing of what was sent."""
        values: dict[str, object] = {
            "operation": "authenticate",
            "address": _short(address),
            "decision": "denied",
            "code": Unauthenticated.code,
            "reason": reason,
        }
        with contextlib.suppress(ResourceError):
            self._keep(values)

    def _record(self, caller: Caller, operation: str, sandbox: str | None, id_: str | None, decision: str, code: str | None) -> None:
        values: dict[str, object] = {
            "operation": operation,
            "subject": _short(caller.subject),
            "role": _short(caller.role),
            "tenant": _short(caller.tenant),
            "credential": _short(caller.credential),
            "acting": _short(caller.acting),
            "address": _short(caller.address),
            "sandbox": _short(sandbox),
            "id": _short(id_),
            "decision": decision,
            "code": code,
        }
        self._keep({name: value for name, value in values.items() if value is not None})

    def _keep(self, values: dict[str, object]) -> None:
        """Write a line; where it can't be, count it as lost or refuse."""
        try:
            if self._lost:
                self._write({"operation": "audit.gap", "decision": "noted", "lines": self._lost})
                self._lost = 0
            self._write(values)
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                _log.error("audit log cannot be written", error=error.strerror, required=self._required)
            if self._required:
                raise ResourceError("audit: the audit log cannot be written, so this was not done; try again later", retry_after_s=10) from None

    def _write(self, values: dict[str, object]) -> None:
        """Write a line whole, or not at all, behind what others wrote. Raises OSError."""
        with audit_turn(self._folder_fd):
            if not self._is_last():
                try:
                    self._go_on()
                except Broken as error:
                    raise OSError(EIO, str(error)) from None
            self._append(values)

    def _is_last(self) -> bool:
        """Whether nobody has written since: neither here nor into a file behind this one, which then has the next number in its name."""
        return self._fd >= 0 and os.fstat(self._fd).st_size == self._size and not (self._folder / segment_name(self._link.seq + 1)).exists()

    def _go_on(self) -> None:
        """Go on behind the last line that there is; what is torn behind it is cut off, and that is noted. Raises OSError, Broken."""
        self._close_segment()
        torn = self._open()
        if torn:
            self._append({"operation": "audit.mended", "decision": "noted", "bytes": torn})

    def _append(self, values: dict[str, object]) -> None:
        line, link = write_line(self._link, {"time": _now(), **values})
        if self._fd < 0 or (self._size and self._size + len(line) > self._most):
            self._begin_segment()
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                raise OSError(28, "there is no room for a whole line")
        except OSError:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:  # what is torn stays torn until the next turn
                self._close_segment()
            raise
        self._size += written
        self._link = link

    def _begin_segment(self) -> None:
        new = os.open(self._folder / segment_name(self._link.seq + 1), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._close_segment()
        self._fd = new
        os.ftruncate(new, 0)  # what may be in it is the beginning of a line that came to nothing
        self._size = 0

    def _open(self) -> int:
        """Find the last line, cut off what is torn behind it, and say how many bytes that was. Raises OSError, Broken."""
        self._link, self._size = Link(), 0
        files = segments(self._folder)
        if not files:
            return 0
        self._fd = os.open(files[-1], os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        whole = os.fstat(self._fd).st_size
        last, self._size = _last_line(self._fd, whole)
        if self._size < whole:
            os.ftruncate(self._fd, self._size)
        if last is not None:
            self._link = read_line(last)[0]
        elif (named := first_seq(files[-1])) is not None and named > 1:  # a file was begun, and nothing came into it
            self._link = _end_of(files[-2]) if len(files) > 1 else Link()
            if self._link.seq + 1 != named:
                raise Broken(f"{files[-1].name} does not go on with the file before it")
        return whole - self._size


def is_denial(error: SandqlError) -> bool:
    """Whether a caller was told that it may not, or not now."""
    return isinstance(error, _DENIALS)


def open_audit(settings: Settings) -> Audit | None:
    """The audit log of the settings' state folder; None where there is to be none. Raises SettingsError."""
    if settings.audit == "off":
        return None
    return Audit(settings.state_dir / FOLDER, settings.audit_segment_bytes, required=settings.audit == "required")


def _end_of(segment: Path) -> Link:
    fd = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
    try:
        last, end = _last_line(fd, size := os.fstat(fd).st_size)
    finally:
        os.close(fd)
    if last is None or end != size:
        raise Broken(f"{segment.name} ends within a line")
    return read_line(last)[0]


def _last_line(fd: int, size: int) -> tuple[bytes | None, int]:
    """The last whole line of a file, and where it ends; None and 0 where there is none."""
    begin = max(0, size - _BLOCK)
    data = os.pread(fd, size - begin, begin)
    end = data.rfind(b"\n")
    if end < 0:
        if begin:
            raise Broken("its last line is too long")
        return None, 0
    return data[data.rfind(b"\n", 0, end) + 1 : end + 1], begin + end + 1


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MOST_CHARS else text[:_MOST_CHARS]


def _now() -> str:
    now = time.time()
    return f"{_second(int(now))}.{int(now % 1 * 1000):03}Z"


@lru_cache(maxsize=1)
def _second(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))
