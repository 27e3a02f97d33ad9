"""A binary heap over two arrays: least (key, item) first. The caller keeps the size."""

from __future__ import annotations

from typing import Any

from compiler.schedule.inner import inner


@inner
def push(keys: Any, items: Any, size: int, key: int, item: int) -> int:
    """Add an entry; returns the new size."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if keys[up] < key or (keys[up] == key and items[up] <= item):
            break
        keys[at], items[at] = keys[up], items[up]
        at = up
    keys[at], items[at] = key, item
    return size + 1


@inner
def pop(keys: Any, items: Any, size: int) -> int:
    """Drop the least entry, which stands at index 0; returns the new size."""
    size -= 1
    key, item = keys[size], items[size]
    at = 0
    while True:
        down = 2 * at + 1
        if down >= size:
            break
        right = down + 1
        if right < size and (
            keys[right] < keys[down] or (keys[right] == keys[down] and items[right] < items[down])
        ):
            down = right
        if key < keys[down] or (key == keys[down] and item <= items[down]):
            break
        keys[at], items[at] = keys[down], items[down]
        at = down
    keys[at], items[at] = key, item
    return size
