"""JSON values written shorter: each text and number once, and the keys of alike objects once.

The details of service ports repeat themselves (explanations, names of chains, rules): packed they
take a third of the room, and half of it compressed. `unpack` of the page's `blocks.js` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable

Packed = list[object]


def pack(values: Iterable[object]) -> Packed:
    """Return a list of values as its leaves, the keys of its objects, and its structure.

    In the structure a number is the place of a leaf; a list is one of values, or where it starts
    with -1 - n, an object whose keys are the n-th and whose values follow.
    """
    packer = _Packer()
    structure = [packer.place(value) for value in values]
    return [[leaf for _, leaf in packer.leaves], [list(keys) for keys in packer.shapes], structure]


class _Packer:
    def __init__(self) -> None:
        # by their type too: 1, 1.0 and True are equal
        self.leaves: dict[tuple[type, object], int] = {}
        self.shapes: dict[tuple[str, ...], int] = {}

    def place(self, value: object) -> object:
        """Return the structure of a value."""
        if isinstance(value, dict):
            shape = self.shapes.setdefault(tuple(value), len(self.shapes))
            return [-1 - shape, *map(self.place, value.values())]
        if isinstance(value, list):
            return [self.place(one) for one in value]
        return self.leaves.setdefault((type(value), value), len(self.leaves))
