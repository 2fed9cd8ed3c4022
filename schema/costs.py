"""What each field of a root costs; a document that would cost more than the bound is refused before anything is done."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from graphql import OperationType

FIELD_COST: Final = 1  # of every field that is not named here

NESTED_COSTS: Final = MappingProxyType(
    {"files": 20, "file": 5, "executions": 20, "result": 10, "events": 20, "lastSeq": 2, "usage": 20, "quota": 5}
)  # below a root
PAGED: Final = frozenset({"sandboxes", "executions"})  # what costs something below these, costs it for each item
PAGED_DEFAULT: Final = 20
PAGED_MOST: Final = 100

ROOT_COSTS: Final = MappingProxyType(
    {
        OperationType.QUERY: MappingProxyType(
            {
                "listFiles": 10,
                "readFile": 10,
                "files": 20,
                "file": 5,
                "sandbox": 5,
                "sandboxes": 20,
                "execution": 5,
                "executions": 20,
                "apiKeys": 20,
            }
        ),
        OperationType.MUTATION: MappingProxyType(
            {
                "executeCode": 50,
                "runCommand": 50,
                "startCommand": 50,
                "startExecution": 50,
                "sendInput": 5,
                "createSandbox": 50,
                "createTerminal": 50,
                "createContext": 50,
                "restartContext": 50,
                "terminalInput": 2,
                "destroySandbox": 20,
                "writeFile": 10,
                "uploadFile": 10,
                "makeDirectory": 10,
                "moveFile": 10,
                "copyFile": 20,
                "removeFile": 10,
                "createApiKey": 20,
                "rotateApiKey": 20,
            }
        ),
        OperationType.SUBSCRIPTION: MappingProxyType(
            {"executeCode": 50, "executionEvents": 10, "fileChanges": 20, "terminalOutput": 10, "usageUpdated": 20}
        ),
    }
)
