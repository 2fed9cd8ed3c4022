"""Documents that were parsed and validated already, kept by their text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class TextCache(Generic[Value]):
    """The most recently used values by text, bounded by the characters of their texts in all.

    The bound is on text because memory grows with it: a parsed document takes some hundred bytes for each of its characters.
    """

    def __init__(self, max_chars: int, max_text_chars: int) -> None:
        self._max_chars = max_chars
        self._max_text_chars = max_text_chars
        self._chars = 0
        self._values: OrderedDict[str, Value] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, text: str, make: Callable[[str], Value]) -> Value:
        """The value of a text, made on first use; what `make` raises is raised, and nothing is kept."""
        found = self._values.get(text)
        if found is not None:
            self.hits += 1
            self._values.move_to_end(text)
            return found
        self.misses += 1
        value = make(text)
        if len(text) <= self._max_text_chars:
            self._values[text] = value
            self._chars += len(text)
            while self._chars > self._max_chars:
                dropped, _ = self._values.popitem(last=False)
                self._chars -= len(dropped)
        return value
