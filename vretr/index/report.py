"""What a build says while it runs and when it is done."""

from dataclasses import dataclass
from typing import Any

from vretr.images import Unreadable
from vretr.paths import json_fields


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is. While files are still being looked for, `total` and `rate` are None."""

    done: int
    total: int | None
    rate: float | None  # photos encoded per second


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a build did, or in a dry run would do.

    Attributes:
        photos: how many the index holds now.
        new: encoded, because new or changed.
        moved: under a new path, with the vector that their content had already.
        unchanged: the others that were found again.
        removed: not found any more.
        skipped: photos and folders that could not be read, now or in an earlier build.
    """

    photos: int
    new: int
    moved: int
    unchanged: int
    removed: int
    skipped: list[Unreadable]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The fields of `vretr index --json`."""
        return {
            "photos": self.photos,
            "new": self.new,
            "moved": self.moved,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "skipped": [{**json_fields(s.path), "reason": s.reason} for s in self.skipped],
            "seconds": round(self.seconds, 3),
        }
