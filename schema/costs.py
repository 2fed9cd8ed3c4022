"""What each field of a root costs; a document that would cost more than the bound is refused before anything is done."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from graphql import OperationType

FIELD_COST: Final = 1  # of every field that is not named here

ROOT_COSTS: Final = MappingProxyType(
    {
        OperationType.QUERY: MappingProxyType({"listFiles": 10, "readFile": 10, "files": 20}),
        OperationType.MUTATION: MappingProxyType({"executeCode": 50, "writeFile": 10, "uploadFile": 10}),
        OperationType.SUBSCRIPTION: MappingProxyType({"executeCode": 50}),
    }
)
