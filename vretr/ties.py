"""How equal scores are put in order, see `vretr.metrics`. Alone here, for options name it."""

from typing import Literal

Ties = Literal["index", "pessimistic", "optimistic"]
