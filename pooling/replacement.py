"""What was put in a model's place, and the way back."""

from collections.abc import Callable
from typing import Any

from torch import nn

from pooling.adapters import with_methods


class Replacement:
    """A pooling in a model's place; `undo` puts back what was there.

    Attributes:
        pool: the pooling; its parameters are the model's now.
    """

    pool: nn.Module

    def __init__(self) -> None:
        self._undoing: list[Callable[[], object]] = []

    def undo(self) -> None:
        """Makes the model what it was; twice does no more than once."""
        while self._undoing:
            self._undoing.pop()()

    def undo_with(self, step: Callable[[], object]) -> None:
        """One more step back."""
        self._undoing.append(step)

    def set(self, owner: nn.Module, name: str, value: Any) -> None:
        """`owner.name = value`, until it is undone."""
        had, was_module = hasattr(owner, name), name in owner._modules
        before = getattr(owner, name, None)
        setattr(owner, name, value)

        def back() -> None:
            if not was_module and name in owner._modules:
                delattr(owner, name)
            if had:
                setattr(owner, name, before)

        self._undoing.append(back)

    def use_class(self, owner: nn.Module, methods: type) -> None:
        """Overrides methods of this one model."""
        before = type(owner)
        owner.__class__ = with_methods(owner, methods)
        self._undoing.append(lambda: setattr(owner, "__class__", before))
