"""The last things that were used, by their names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Kept(Generic[_Key, _Value]):
    """At most so many; the one that was not used for longest goes first. Safe between threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._items: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: _Key) -> _Value | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: _Key, value: _Value) -> _Value:
        """The value again."""
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self.most:
                self._items.popitem(last=False)
        return value

    def or_made(self, key: _Key, make: Callable[[], _Value]) -> _Value:
        """What is kept, else what ``make`` gives, which is kept then."""
        value = self.get(key)
        return self.put(key, make()) if value is None else value

    def __len__(self) -> int:
        return len(self._items)
