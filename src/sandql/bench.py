"""`sandql bench`: runs the measurements, which lie beside the product in its source tree and are not installed with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import sandql

_USAGE: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Run `python -m benchmarks` of this checkout with these arguments; returns its exit code, 2 where there is no checkout."""
    root = Path(sandql.__file__).resolve().parents[2]
    if not (root / "benchmarks" / "__main__.py").is_file():
        print("sandql: the benchmarks are not installed with sandql; run `make bench` in a checkout of its sources", file=sys.stderr)
        return _USAGE
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=root, check=False).returncode
