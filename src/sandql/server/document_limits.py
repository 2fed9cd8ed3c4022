"""How much a document asks for: its depth, its aliases and its cost, measured before it is validated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

from sandql.core.errors import QueryTooCostly
from sandql.core.settings import Settings
from sandql.schema.costs import FIELD_COST, NESTED_COSTS, PAGED, PAGED_DEFAULT, PAGED_MOST, ROOT_COSTS

# Introspection is as deep as a client's tool makes it; a rule of graphql-core bounds how often it may go in circles.
_INTROSPECTION = frozenset({"__schema", "__type"})
# Validation compares every two fields of one name, and what is below them.
_MOST_OF_A_NAME = 300
_MOST_PARENTS_OF_A_NAME = 100


@dataclass(frozen=True, slots=True)
class _Size:
    """`work` is the part of the cost that is due for each item of a list above."""

    depth: int
    cost: int
    work: int


_NOTHING = _Size(0, 0, 0)


class _Measure:
    """Measures operations of one document. A fragment is measured once, however often it is spread."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[tuple[str, OperationType | None], _Size] = {}

    def selections(self, selection_set: SelectionSetNode, root: OperationType | None) -> _Size:
        """The size of a selection set; `root` is the operation's type where its fields are root fields."""
        depth = cost = work = 0
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                size = self._field(selection, root)
            elif isinstance(selection, FragmentSpreadNode):
                size = self._spread(selection.name.value, root)
            elif isinstance(selection, InlineFragmentNode):
                size = self.selections(selection.selection_set, root)
            else:
                continue  # there is no fourth kind
            depth = max(depth, size.depth)
            cost += size.cost
            work += size.work
        return _Size(depth, cost, work)

    def _field(self, field: FieldNode, root: OperationType | None) -> _Size:
        name = field.name.value
        cost = NESTED_COSTS.get(name, FIELD_COST) if root is None else ROOT_COSTS[root].get(name, FIELD_COST)
        own_work = cost if root is None and name in NESTED_COSTS else 0
        if field.selection_set is None:
            return _Size(1, cost, own_work)
        below = self.selections(field.selection_set, None)
        times = _items(field) if name in PAGED else 1
        depth = 1 if name in _INTROSPECTION else below.depth + 1
        return _Size(depth, cost + below.cost + (times - 1) * below.work, own_work + times * below.work)

    def _spread(self, name: str, root: OperationType | None) -> _Size:
        key = (name, root)
        if key not in self._known:
            self._known[key] = _NOTHING  # what a fragment that spreads itself finds; validation refuses it
            fragment = self._fragments.get(name)
            self._known[key] = _NOTHING if fragment is None else self.selections(fragment.selection_set, root)
        return self._known[key]


def _items(field: FieldNode) -> int:
    """How many items a paged field may bring: what its document says, or the most where a variable will."""
    for argument in field.arguments or ():
        if argument.name.value == "first":
            value = argument.value
            return max(1, min(int(value.value), PAGED_MOST)) if isinstance(value, IntValueNode) and len(value.value) < 9 else PAGED_MOST
    return PAGED_DEFAULT


def _fields(selection_set: SelectionSetNode) -> Iterator[FieldNode]:
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
        if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
            yield from _fields(selection.selection_set)


def check_document(document: DocumentNode, settings: Settings) -> dict[str | None, int]:
    """The cost of each operation of a document, by its name.

    Raises:
        QueryTooCostly: the document has too many aliases or fields of one name, or an operation is too deep or costs too much.
    """
    executable = [node for node in document.definitions if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)]
    fields = [field for node in executable for field in _fields(node.selection_set)]
    _check("aliases", sum(field.alias is not None for field in fields), settings.query_aliases)
    for few, most in ((False, _MOST_OF_A_NAME), (True, _MOST_PARENTS_OF_A_NAME)):
        names = Counter((field.alias or field.name).value for field in fields if not few or field.selection_set is not None)
        _check("fields of one name", max(names.values(), default=0), most)
    measure = _Measure({node.name.value: node for node in executable if isinstance(node, FragmentDefinitionNode)})
    costs: dict[str | None, int] = {}
    for node in executable:
        if isinstance(node, OperationDefinitionNode):
            size = measure.selections(node.selection_set, node.operation)
            _check("depth", size.depth, settings.query_depth)
            _check("cost", size.cost, settings.query_cost)
            costs[node.name.value if node.name else None] = size.cost
    return costs


def _check(what: str, given: int, most: int) -> None:
    if given > most:
        raise QueryTooCostly(f"query: {what} at most {most}, got {given}; ask for less at one time")
