"""The format on disk: segments that are not what they should be, versions, merging, permissions."""

import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vretr.errors import MismatchError, VretrError
from vretr.index import Index, database, segments
from vretr.index import build as building
from vretr.index.build import build
from vretr.index.segments import Segment
from vretr.index.store import Changes, writing


@pytest.fixture
def index(folder: Path, encoder: Any) -> Path:
    build([folder], encoder, workers=0)
    return folder / ".vretr"


def only_segment(index: Path) -> Path:
    (path,) = (index / "segments").iterdir()
    return path


def test_segments_are_plain_numpy_files(index: Path) -> None:
    vectors = np.load(only_segment(index))
    assert vectors.shape == (10, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_truncated_at_every_boundary(index: Path) -> None:
    path = only_segment(index)
    whole = path.read_bytes()
    for length in [*range(0, 130, 7), 128, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(VretrError, match=r"damaged.*0-10\.npy"):
            Index.open(index)
    path.write_bytes(whole + b"x")
    with pytest.raises(VretrError, match="length"):
        Index.open(index)


def test_flipped_bits_are_found_by_verify_and_never_copied(
    index: Path, encoder: Any, paint: Any
) -> None:
    path = only_segment(index)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    with Index.open(index) as opened:
        (sentence,) = opened.verify()
    assert "checksum" in sentence and "0-10.npy" in sentence
    for number in range(10, 20):
        paint(index.parent / f"{number}.png", number)
    with pytest.raises(VretrError, match="checksum"):  # merging would give it a good checksum
        build([index.parent], encoder, workers=0)
    build([index.parent], encoder, workers=0, rebuild=True)
    with Index.open(index) as opened:
        assert opened.verify() == [] and len(opened) == 20


@pytest.mark.parametrize(
    "content",
    [
        np.array([[object()] * 16] * 10),
        np.zeros((10, 16), dtype=np.float64),
        np.zeros((10, 16), dtype=">f4"),
        np.zeros((16, 10), dtype=np.float32),
        np.asfortranarray(np.zeros((10, 16), dtype=np.float32)),
        np.zeros(160, dtype=np.float32),
    ],
    ids=["objects", "float64", "big-endian", "shape", "order", "flat"],
)
def test_other_arrays_are_refused(index: Path, content: np.ndarray) -> None:
    np.save(only_segment(index), content, allow_pickle=True)
    with pytest.raises(VretrError, match="damaged"):
        Index.open(index)


@pytest.mark.parametrize("shape", ["(10, 17)", "(1152921504606846976, 16)", "(-1, 16)"])
def test_lying_headers_are_refused(index: Path, shape: str) -> None:
    path = only_segment(index)
    whole = path.read_bytes()
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    path.write_bytes(whole[:10] + header.ljust(117).encode() + b"\n" + whole[128:])
    with pytest.raises(VretrError, match="damaged"):
        Index.open(index)


def test_an_archive_instead_of_an_array_is_refused(index: Path) -> None:
    with only_segment(index).open("wb") as file:
        np.savez(file, np.zeros((10, 16), dtype=np.float32))
    with pytest.raises(VretrError, match="damaged"):
        Index.open(index)


def test_missing_segment(index: Path) -> None:
    only_segment(index).unlink()
    with pytest.raises(VretrError, match=r"0-10\.npy is not there.*--rebuild"):
        Index.open(index)


def test_damaged_database(index: Path, encoder: Any) -> None:
    (index / "index.sqlite").write_bytes(b"no database at all" * 100)
    for use in (lambda: Index.open(index), lambda: build([index.parent], encoder, workers=0)):
        with pytest.raises(VretrError, match="damaged"):
            use()


def test_newer_format_is_refused(index: Path, encoder: Any) -> None:
    connection = sqlite3.connect(index / "index.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for use in (lambda: Index.open(index), lambda: build([index.parent], encoder, workers=0)):
        with pytest.raises(MismatchError, match=r"format 99.*Update vretr"):
            use()


def test_older_format_is_migrated_by_the_next_build(
    index: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = "ALTER TABLE photo ADD COLUMN width INTEGER; CREATE TABLE extra (x)"
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, step))
    monkeypatch.setattr("vretr.index.reader.MIGRATIONS", database.MIGRATIONS)
    with pytest.raises(MismatchError, match="older format; run `vretr index`"):
        Index.open(index)
    connection = database.connect(index)
    database.migrate(connection, index)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("SELECT count(width) FROM photo").fetchone() == (0,)
    connection.close()
    with Index.open(index) as opened:
        assert len(opened) == 10


def test_a_step_of_a_migration_is_whole_or_not_at_all(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (*database.MIGRATIONS, "CREATE TABLE extra (x); SELECT no_such_function()")
    monkeypatch.setattr(database, "MIGRATIONS", steps)
    connection = database.connect(index)
    with pytest.raises(sqlite3.OperationalError):
        database.migrate(connection, index)
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'")
    assert tables.fetchone() == (0,)
    connection.close()


def test_not_an_index(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="no index in"):
        Index.open(tmp_path)
    (tmp_path / "index.sqlite").touch()  # killed before anything was written
    with pytest.raises(MismatchError, match="not finished"):
        Index.open(tmp_path)


def test_many_commits_leave_few_segments(
    folder: Path, encoder: Any, paint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10, 60):
        paint(folder / f"{number}.png", number)
    monkeypatch.setattr(building, "_COMMIT_SECONDS", 0)
    most = 0

    def count(_: object) -> None:
        nonlocal most
        if (folder / ".vretr/segments").exists():
            most = max(most, len(list((folder / ".vretr/segments").iterdir())))

    build([folder], encoder, workers=0, batch_size=1, progress=count)
    assert 2 <= most <= 12
    assert len(list((folder / ".vretr/segments").iterdir())) <= 5
    with Index.open(folder / ".vretr") as opened:
        assert opened.verify() == []
        assert [len(v) for v in opened._mapped.values()] == sorted(
            (len(v) for v in opened._mapped.values()), reverse=True
        )


def test_orphans_are_swept_and_strangers_are_not(index: Path, encoder: Any) -> None:
    names = ["10-20.npy", ".10-20.npy.abc.tmp", "mine.npy", "notes.txt", "1-2-3.npy"]
    for name in names:
        (index / "segments" / name).write_bytes(b"x")
    build([index.parent], encoder, workers=0)
    left = {path.name for path in (index / "segments").iterdir()}
    assert left == {"0-10.npy", "mine.npy", "notes.txt", "1-2-3.npy"}


def test_positions_are_never_given_twice(index: Path, encoder: Any) -> None:
    """Or a reader could take an old vector for a new photo's."""
    with writing(index, encoder, root=index.parent, rebuild=False) as store:
        store.connection.execute("DELETE FROM photo")
        store.tidy()
        assert list((index / "segments").iterdir()) == []
        content = Changes(
            photos=[(b"x", 1, 1, b"d")], contents=[(b"d", 1)], vectors=[np.ones(16, np.float32)]
        )
        store.commit(content)
    assert only_segment(index).name == "10-11.npy"


def test_commit_can_be_repeated(index: Path, encoder: Any) -> None:
    """As after Ctrl-C in the moment after the commit."""
    with writing(index, encoder, root=index.parent, rebuild=False) as store:
        for _ in range(2):
            store.commit(
                Changes(
                    photos=[(b"x", 1, 1, b"d"), (b"y", 1, 1, b"d")],
                    contents=[(b"d", 1), (b"d", 1)],
                    vectors=[np.ones(16, np.float32)] * 2,
                )
            )
    with Index.open(index) as opened:
        assert len(opened) == 12 and opened.verify() == []


def test_wrong_number_of_rows_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 vectors"):
        segments.write(tmp_path, start=0, rows=3, dim=4, blocks=[np.ones((2, 4), np.float32)])
    assert list(tmp_path.iterdir()) == []


def test_blocks_of_a_large_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_BLOCK", 64)
    vectors = np.arange(44, dtype=np.float32).reshape(11, 4)
    segment = segments.write(tmp_path, start=5, rows=11, dim=4, blocks=[vectors[:3], vectors[3:]])
    assert segment == Segment(5, 11, segment.crc32) and segment.name == "5-16.npy"
    pieces = list(segments.blocks(tmp_path, segment, 4))
    assert [first for first, _ in pieces] == [5, 9, 13]
    np.testing.assert_array_equal(np.concatenate([block for _, block in pieces]), vectors)


def test_copied_index_works_elsewhere(index: Path, encoder: Any, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", index.parent, tmp_path / "copy"], check=True)
    with Index.open(tmp_path / "copy" / ".vretr") as opened:
        hits = opened.search(np.ones(16), 20)
        assert len(hits) == 10 and all(hit.path.is_file() for hit in hits)
        assert all(hit.path.is_relative_to(tmp_path / "copy") for hit in hits)
