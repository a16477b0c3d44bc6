"""What a build finds, keeps, forgets and says."""

import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vretr.errors import MismatchError, UsageError, VretrError
from vretr.images import digest
from vretr.index import Index
from vretr.index import build as building
from vretr.index.build import BuildReport, Progress, build


def counts(report: BuildReport) -> tuple[int, int, int, int, int]:
    return (report.photos, report.new, report.moved, report.unchanged, report.removed)


def run(folder: Path, encoder: Any, **options: Any) -> BuildReport:
    return build([folder], encoder, workers=0, **options)


def names(folder: Path, encoder: Any, index: Path | None = None) -> set[str]:
    """Every photo of the index must be found, as the first hit, by its own picture."""
    with Index.open(index or folder / ".vretr") as opened:
        everything = opened.search(np.ones(opened.dim), k=1000)
        assert len(everything) == len(opened) == opened.info()["photos"]
        for hit in everything:
            if hit.path.exists():
                assert opened.search(vector(encoder, hit.path), k=1)[0].score == pytest.approx(1)
        assert opened.verify() == []
        return {os.path.relpath(hit.path, os.path.realpath(folder)) for hit in everything}


def vector(encoder: Any, path: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)
    return encoder.encode_images(pixels[None])[0]


def test_first_and_second_build(folder, encoder):
    first = run(folder, encoder)
    assert counts(first) == (10, 10, 0, 0, 0)
    assert first.skipped == [] and first.seconds > 0
    again = run(folder, encoder)
    assert counts(again) == (10, 0, 0, 10, 0)
    assert encoder.encoded == 10
    assert names(folder, encoder) == {f"{n}.png" for n in range(8)} | {"more/8.png", "more/9.png"}


def test_report_as_json(folder, encoder):
    (folder / "bad.png").write_bytes(b"not a picture")
    fields = run(folder, encoder).to_dict()
    assert list(fields) == [
        "photos",
        "new",
        "moved",
        "unchanged",
        "removed",
        "skipped",
        "seconds",
    ]
    assert [set(entry) for entry in fields["skipped"]] == [{"path", "reason"}]
    with Index.open(folder / ".vretr") as index:
        info = index.info()
    assert info["encoder"] == "tiny-0" and info["dim"] == 16 and info["photos"] == 10
    assert info["new"] == 10 and len(info["skipped"]) == 1
    on_disk = [f for f in (folder / ".vretr").rglob("*") if f.is_file() and f.name != "lock"]
    assert info["bytes"] == sum(f.stat().st_size for f in on_disk)


def test_new_changed_moved_copied_removed(folder, encoder, paint):
    run(folder, encoder)
    paint(folder / "new.png", 100)
    paint(folder / "0.png", 101)  # other content under a known name
    (folder / "1.png").rename(folder / "more" / "renamed.png")
    shutil.copyfile(folder / "2.png", folder / "copy.png")
    (folder / "3.png").unlink()
    report = run(folder, encoder)
    assert counts(report) == (11, 2, 2, 7, 1)
    found = names(folder, encoder)
    assert {"new.png", "0.png", "more/renamed.png", "copy.png", "2.png"} <= found
    assert not {"1.png", "3.png"} & found


def test_a_whole_folder_renamed_is_not_encoded_again(folder, encoder):
    run(folder, encoder)
    (folder / "sub").mkdir()
    for path in folder.glob("*.png"):
        path.rename(folder / "sub" / path.name)
    before = encoder.encoded
    assert counts(run(folder, encoder)) == (10, 0, 8, 2, 0)
    assert encoder.encoded == before


def test_touched_files_are_hashed_and_not_encoded(folder, encoder):
    run(folder, encoder)
    for path in folder.rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    before = encoder.encoded
    assert counts(run(folder, encoder)) == (10, 0, 0, 10, 0)
    assert encoder.encoded == before


def test_same_size_rewritten_within_a_tick_is_noticed(folder, encoder):
    """The clock of a file system may tick so slowly that a second change leaves no trace."""
    path = folder / "x.bmp"
    Image.new("RGB", (8, 8), "red").save(path)
    now = path.stat().st_mtime_ns
    run(folder, encoder)
    Image.new("RGB", (8, 8), "blue").save(path)
    os.utime(path, ns=(now, now))
    report = run(folder, encoder)
    assert (report.new, report.unchanged) == (1, 10)
    with Index.open(folder / ".vretr") as index:
        assert index.search(vector(encoder, path), 1)[0].path.name == "x.bmp"


def test_duplicates_share_one_vector_and_are_both_found(folder, encoder):
    shutil.copyfile(folder / "0.png", folder / "twin.png")
    run(folder, encoder)
    with Index.open(folder / ".vretr") as index:
        hits = index.search(vector(encoder, folder / "0.png"), 2)
        assert [hit.path.name for hit in hits] == ["0.png", "twin.png"]
        assert hits[0].score == hits[1].score
        content = digest(folder / "0.png").digest
        assert index.search(vector(encoder, folder / "0.png"), 1, without=[content])[0].score < 0.99
        assert index.vector_of(content) == pytest.approx(vector(encoder, folder / "0.png"))
        assert index.vector_of(b"x" * 16) is None
    assert sum(np.load(f).shape[0] for f in (folder / ".vretr/segments").iterdir()) == 10


def test_unmounted_drive(folder, encoder, tmp_path):
    """Files vanish, a build is tried, they come back: all are found, none is encoded again."""
    index = tmp_path / "index"
    run(folder, encoder, index=index)
    away = tmp_path / "away"
    folder.rename(away)
    with pytest.raises(UsageError, match="There is no"):
        run(folder, encoder, index=index)
    folder.mkdir()  # the mount point
    with pytest.raises(VretrError, match=r"10 of 10 photos are not there.*--prune") as error:
        run(folder, encoder, index=index)
    assert error.value.exit_code == 1
    with Index.open(index) as opened:
        assert len(opened) == 10
    folder.rmdir()
    away.rename(folder)
    assert counts(run(folder, encoder, index=index)) == (10, 0, 0, 10, 0)
    assert encoder.encoded == 10
    assert len(names(folder, encoder, index)) == 10


def test_prune_forgets_more_than_half_and_the_vectors_go(folder, encoder):
    run(folder, encoder)
    for number in range(8):
        (folder / f"{number}.png").unlink()
    with pytest.raises(VretrError, match="8 of 10"):
        run(folder, encoder)
    assert counts(run(folder, encoder, prune=True)) == (2, 0, 0, 2, 8)
    assert names(folder, encoder) == {"more/8.png", "more/9.png"}
    (segment,) = (folder / ".vretr/segments").iterdir()
    assert np.load(segment).shape == (2, 16)


def test_vanished_and_returned_is_not_encoded_again(folder, encoder, tmp_path):
    run(folder, encoder)
    (folder / "more").rename(tmp_path / "away")
    assert counts(run(folder, encoder)) == (8, 0, 0, 8, 2)
    (tmp_path / "away").rename(folder / "more")
    assert counts(run(folder, encoder)) == (10, 0, 2, 8, 0)
    assert encoder.encoded == 10


def test_everything_gone_and_pruned(folder, encoder):
    run(folder, encoder)
    for path in folder.rglob("*.png"):
        path.unlink()
    assert counts(run(folder, encoder, prune=True)) == (0, 0, 0, 0, 10)
    with Index.open(folder / ".vretr") as index:
        assert len(index) == 0 and index.search(np.ones(16)) == []
    assert list((folder / ".vretr/segments").iterdir()) == []


def test_only_the_roots_given_are_touched(folder, encoder, tmp_path, paint):
    index = tmp_path / "index"
    other = tmp_path / "other"
    for number in range(20, 24):
        paint(other / f"{number}.png", number)
    build([folder, other], encoder, index=index, workers=0)
    shutil.rmtree(other)
    assert counts(run(folder, encoder, index=index)) == (14, 0, 0, 10, 0)
    # A root that is gone altogether, given with one that is there: nothing of it is forgotten.
    report = build([folder, other], encoder, index=index, workers=0)
    assert counts(report) == (14, 0, 0, 10, 0)
    assert [problem.path.name for problem in report.skipped] == ["other"]
    with pytest.raises(UsageError, match="other"):
        build([folder, other], encoder, index=index, workers=0, rebuild=True)


def test_a_folder_that_cannot_be_listed_keeps_its_photos(folder, encoder, monkeypatch):
    run(folder, encoder)
    real = os.scandir

    def denied(path: Any = ".") -> Any:
        if not isinstance(path, int) and os.fsencode(path).endswith(b"/more"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)
    report = run(folder, encoder)
    assert counts(report) == (10, 0, 0, 8, 0)
    assert [problem.path.name for problem in report.skipped] == ["more"]


def test_failures_are_remembered_and_retried_on_demand(folder, encoder, monkeypatch):
    bad = folder / "bad.png"
    bad.write_bytes(b"not a picture")
    os.utime(bad, (1e9, 1e9))
    first = run(folder, encoder)
    assert [s.path.name for s in first.skipped] == ["bad.png"]
    tried = []
    real = building.images.batches

    def spying(paths: Any, *rest: Any, **options: Any) -> Any:
        return real((tried.append(path) or path for path in paths), *rest, **options)

    monkeypatch.setattr(building.images, "batches", spying)
    second = run(folder, encoder)
    (skipped,) = second.skipped
    assert (skipped.path.name, skipped.reason) == ("bad.png", first.skipped[0].reason)
    assert tried == []
    run(folder, encoder, retry_failed=True)
    assert [path.name for path in tried] == ["bad.png"]
    shutil.copyfile(folder / "0.png", bad)
    third = run(folder, encoder)
    assert third.skipped == [] and third.moved == 1
    with Index.open(folder / ".vretr") as index:
        assert index.info()["skipped"] == []


def test_a_photo_that_breaks_is_not_found_any_more(folder, encoder):
    run(folder, encoder)
    (folder / "0.png").write_bytes(b"broken")
    report = run(folder, encoder)
    assert (report.photos, [s.path.name for s in report.skipped]) == (9, ["0.png"])


def test_vectors_that_are_not_finite_are_failures(folder, encoder, monkeypatch):
    real = encoder.encode_images

    def one_bad(images: Any) -> np.ndarray:
        vectors = real(images)
        vectors[3] = np.nan
        return vectors

    monkeypatch.setattr(encoder, "encode_images", one_bad)
    report = run(folder, encoder)
    assert report.photos == 9 and "not finite" in report.skipped[0].reason


def test_wrong_shape_is_an_error(folder, encoder, monkeypatch):
    monkeypatch.setattr(encoder, "encode_images", lambda images: np.ones((len(images), 3)))
    with pytest.raises(VretrError, match=r"\[10, 3\]"):
        run(folder, encoder)


def test_dry_run_writes_nothing(folder, encoder, paint):
    assert counts(run(folder, encoder, dry_run=True)) == (10, 10, 0, 0, 0)
    assert not (folder / ".vretr").exists() and encoder.encoded == 0
    run(folder, encoder)

    def state() -> dict[Path, tuple[int, int]]:
        files = (folder / ".vretr").rglob("*")
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    before = state()
    paint(folder / "new.png", 50)
    (folder / "0.png").rename(folder / "z.png")
    (folder / "1.png").unlink()
    planned = run(folder, encoder, dry_run=True)
    assert state() == before
    assert counts(planned) == counts(run(folder, encoder)) == (10, 1, 1, 8, 1)
    assert counts(run(folder, encoder, dry_run=True, rebuild=True))[:2] == (10, 10)


def test_another_encoder_is_refused_and_rebuilds(folder, encoder, other_encoder):
    run(folder, encoder)
    with pytest.raises(MismatchError, match=r"tiny-0.*tiny-1.*--rebuild") as error:
        run(folder, other_encoder)
    assert error.value.exit_code == 4
    with Index.open(folder / ".vretr") as index:
        index.require(encoder)
        with pytest.raises(MismatchError):
            index.require(other_encoder)
    assert counts(run(folder, other_encoder, rebuild=True)) == (10, 10, 0, 0, 0)
    assert len(names(folder, other_encoder)) == 10
    with Index.open(folder / ".vretr") as index:
        assert (index.encoder, index.identity) == ("tiny-1", other_encoder.identity)
    assert len(list((folder / ".vretr/segments").iterdir())) == 1


def test_old_index_is_searched_during_a_rebuild(folder, encoder, other_encoder, monkeypatch):
    run(folder, encoder)
    real = other_encoder.encode_images
    query = vector(encoder, folder / "5.png")

    def searching(images: Any) -> np.ndarray:
        with Index.open(folder / ".vretr") as index:
            assert index.search(query, 1)[0].path.name == "5.png" and len(index) == 10
        return real(images)

    monkeypatch.setattr(other_encoder, "encode_images", searching)
    monkeypatch.setattr(building, "_COMMIT_SECONDS", 0)
    with Index.open(folder / ".vretr") as reader:
        assert len(reader.search(query)) == 10
        run(folder, other_encoder, rebuild=True, batch_size=2)
        with pytest.raises(MismatchError, match="built anew"):
            reader.search(query)


def test_a_rebuild_goes_on_where_it_was_stopped(folder, encoder, other_encoder, monkeypatch):
    run(folder, encoder)
    monkeypatch.setattr(building, "_COMMIT_SECONDS", 0)

    def stop(event: Progress) -> None:
        if event.total and event.done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, other_encoder, rebuild=True, batch_size=2, progress=stop)
    assert other_encoder.encoded == 4
    assert len(names(folder, encoder)) == 10
    assert counts(run(folder, other_encoder, rebuild=True)) == (10, 6, 0, 4, 0)


def test_a_rebuild_in_which_nothing_works_changes_nothing(folder, encoder, other_encoder):
    run(folder, encoder)
    other_encoder.encode_images = lambda images: np.full((len(images), 16), np.nan)
    with pytest.raises(VretrError, match="stays as it was"):
        run(folder, other_encoder, rebuild=True)
    assert len(names(folder, encoder)) == 10
    assert counts(run(folder, encoder)) == (10, 0, 0, 10, 0)
    with Index.open(folder / ".vretr") as index:
        assert index.info()["skipped"] == []


def test_interrupt_keeps_finished_batches(folder, encoder):
    def stop(event: Progress) -> None:
        if event.total and event.done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, encoder, batch_size=3, progress=stop)
    assert len(names(folder, encoder)) == 6
    before = encoder.encoded
    assert counts(run(folder, encoder)) == (10, 4, 0, 6, 0)
    assert encoder.encoded == before + 4


def test_file_that_changes_while_it_is_read_is_looked_at_again(folder, encoder):
    path = folder / "growing.png"
    shutil.copyfile(folder / "0.png", path)
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            Image.new("RGB", (300, 300), (number % 256, 0, 0)).save(path)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        run(folder, encoder)
    finally:
        stop.set()
        writer.join()
    run(folder, encoder)
    with Index.open(folder / ".vretr") as index:
        assert index.vector_of(digest(path).digest) is not None


def test_odd_names(folder, encoder, paint):
    raw = [b"new\nline.png", b"\x1b]0;x\x07.png", b"\xff\xfe latin \xe9.png", b"[red]x[/y].png"]
    raw += [b"-rf.png", b" .png ", "\u202egnp.png".encode(), b"a'b\"c%00?.png"]
    raw = [name for name in raw if name.endswith(b".png")]
    for number, name in enumerate(raw, start=200):
        paint(folder / os.fsdecode(name), number)
    odd = folder / os.fsdecode(b"dir \xff")
    paint(odd / "x.png", 300)
    assert run(folder, encoder).photos == 11 + len(raw)
    found = names(folder, encoder)
    assert {os.fsdecode(name) for name in raw} < found
    assert os.fsdecode(b"dir \xff/x.png") in found
    shutil.rmtree(odd)
    assert run(folder, encoder).removed == 1


def test_index_in_a_folder_whose_name_is_not_utf8(tmp_path, encoder, paint):
    root = tmp_path / os.fsdecode(b"\xff?%20#")
    paint(root / "x.png", 1)
    run(root, encoder)
    assert names(root, encoder) == {"x.png"}


def test_loop_of_links(folder, encoder):
    (folder / "loop").symlink_to(".")
    (folder / "more" / "up").symlink_to("..")
    assert run(folder, encoder).photos == 10


def test_moved_folder_keeps_its_index(folder, encoder, tmp_path):
    run(folder, encoder)
    moved = tmp_path / "elsewhere" / "p"
    moved.parent.mkdir()
    folder.rename(moved)
    assert len(names(moved, encoder)) == 10
    assert counts(run(moved, encoder)) == (10, 0, 0, 10, 0)


def test_opened_by_the_folder_of_the_photos(folder, encoder):
    run(folder, encoder)
    with Index.open(str(folder)) as index:
        assert index.folder == folder / ".vretr" and index.root == folder


def test_through_a_link_the_photos_are_the_same(folder, encoder, tmp_path):
    run(folder, encoder)
    alias = tmp_path / "alias"
    alias.symlink_to(folder)
    assert counts(run(alias, encoder)) == (10, 0, 0, 10, 0)
    with Index.open(alias / ".vretr") as index:
        assert index.search(np.ones(16), 1)[0].path.parent.is_relative_to(alias)


def test_files_and_several_folders_need_a_place(folder, encoder, tmp_path):
    files = sorted(folder.glob("*.png"))[:3]
    with pytest.raises(UsageError, match="--index"):
        build(files, encoder, workers=0)
    with pytest.raises(UsageError, match="--index"):
        build(files[:1], encoder, workers=0)
    report = build(files, encoder, index=tmp_path / "deep" / "index", workers=0)
    assert counts(report) == (3, 3, 0, 0, 0)


def test_an_index_is_not_made_among_other_things(folder, encoder):
    with pytest.raises(VretrError, match="holds other things"):
        run(folder, encoder, index=folder / "more")
    assert sorted(p.name for p in (folder / "more").iterdir()) == ["8.png", "9.png"]


def test_empty_folder(tmp_path, encoder):
    with pytest.raises(VretrError, match="no photo") as error:
        run(tmp_path, encoder)
    assert error.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_may_look(folder, encoder):
    old = os.umask(0o022)
    try:
        run(folder, encoder)
    finally:
        os.umask(old)
    for path in [folder / ".vretr", *(folder / ".vretr").rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_progress(folder, encoder):
    events: list[Progress] = []
    run(folder, encoder, batch_size=4, progress=events.append)
    assert events[0] == Progress(10, None, None)
    assert [(event.done, event.total) for event in events[1:]] == [(4, 10), (8, 10), (10, 10)]
    assert all(event.rate and event.rate > 0 for event in events[1:])


def test_excluded_files_are_left_out(folder, encoder):
    assert run(folder, encoder, exclude=["more", "0.*"]).photos == 7


def test_paths_may_be_plain_texts(photos: Path, encoder: Any) -> None:
    report = build([str(photos)], encoder, workers=0)
    assert report.new == 12
    assert len(Index.open(str(photos))) == 12
