"""Paths as they are stored."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vretr.index.places import Root, recorded, root_of

NAMES = st.lists(
    st.sampled_from([b"a", b"b", b"a.b", b"a-b", b"0", b"-", b"\xff", b".x", b" "]), max_size=4
)


def absolute(names: list[bytes]) -> bytes:
    return b"/" + b"/".join(names)


@given(NAMES, NAMES.filter(bool))
def test_stored_and_back(root: list[bytes], photo: list[bytes]) -> None:
    place = Root(absolute(root))
    stored = place.stored(absolute(photo))
    assert place.absolute(stored) == Path(os.fsdecode(absolute(photo)))
    inside = len(photo) > len(root) and photo[: len(root)] == root
    assert inside == (not stored.startswith(b"/"))


@given(NAMES, NAMES, NAMES.filter(bool))
def test_ranges_hold_what_lies_below_and_nothing_else(
    root: list[bytes], folder: list[bytes], photo: list[bytes]
) -> None:
    place = Root(absolute(root))
    stored = place.stored(absolute(photo))
    in_ranges = sum(
        first <= stored and (end is None or stored < end)
        for first, end in place.below(absolute(folder))
    )
    below = len(photo) > len(folder) and photo[: len(folder)] == folder
    assert in_ranges == int(below) or photo == root == folder


def test_record_is_relative_only_inside_the_root(tmp_path: Path) -> None:
    assert recorded(tmp_path, tmp_path / ".vretr") == b".."
    assert recorded(tmp_path / "photos", tmp_path / "index") == os.fsencode(tmp_path / "photos")
    assert root_of(tmp_path / ".vretr", b"..").folder == os.fsencode(tmp_path)
    assert root_of(tmp_path / "index", b"/photos").folder == b"/photos"
