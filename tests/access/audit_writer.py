"""`python -m tests.access.audit_writer FOLDER LINES`: write lines into an audit log, as one process of several."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from sandql.access.audit import Audit
from sandql.core.values import Caller

if __name__ == "__main__":
    with closing(Audit(Path(sys.argv[1]), 8192, required=True)) as audit:
        for _ in range(int(sys.argv[2])):
            audit.admitted(Caller(), "write_file", None, None)
