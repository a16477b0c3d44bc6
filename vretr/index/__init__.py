"""An index: a folder's photos as vectors on disk, kept up to date and searched exactly.

from vretr.index.build import build         # the writer's side
from vretr.index.locate import locate       # which index is meant
with Index.open(locate()) as index: ...     # the reader's side
"""

from vretr.index.reader import Hit, Index

__all__ = ["Hit", "Index"]
