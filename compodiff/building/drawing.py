"""Draws that depend on the seed and on what is drawn for, and on nothing that came before.

So an order of work, a resumed run or a further row changes no other row.
"""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

Thing = TypeVar("Thing")


def number(seed: int, *key: str) -> int:
    """A number of 63 bits for this key."""
    text = "\0".join((str(seed), *key)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 1


def share(seed: int, *key: str) -> float:
    """A number in [0, 1) for this key."""
    return number(seed, *key) / 2**63


def choice(things: Sequence[Thing], seed: int, *key: str) -> Thing:
    """One of the things."""
    return things[number(seed, *key) % len(things)]


def some(things: Sequence[Thing], count: int, seed: int, *key: str) -> list[Thing]:
    """`count` of the things (all if there are no more, or `count` is 0), in their order."""
    if not 0 < count < len(things):
        return list(things)
    places = Random(number(seed, *key)).sample(range(len(things)), count)
    return [things[place] for place in sorted(places)]
