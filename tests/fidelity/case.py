"""What one behaviour is: a program, what it is given, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandql.core.values import InputFile


@dataclass(frozen=True, slots=True)
class Case:
    """A program that must behave in a cell as under `python3 main.py`.

    `files` maps names in the workspace to their bytes. `wall_ms` is given for programs that never end by themselves;
    `on_host` is False where the answer depends on the machine, so that a bare interpreter outside of a cell has another;
    `differs` is the heading in DIFFERENCES.md of a difference that is known: then only the way it ends is compared.
    """

    name: str
    code: str | bytes
    stdin: bytes = b""
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    files: dict[str, str] = field(default_factory=dict[str, str])
    wall_ms: int = 20_000
    on_host: bool = True
    differs: str = ""

    @property
    def source(self) -> bytes:
        """The program's bytes."""
        return self.code if isinstance(self.code, bytes) else self.code.encode()

    @property
    def input_files(self) -> tuple[InputFile, ...]:
        """The files that are put in beside it."""
        return tuple(InputFile(path, content.encode()) for path, content in self.files.items())
