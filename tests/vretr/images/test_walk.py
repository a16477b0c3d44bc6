import os
import tracemalloc
from pathlib import Path

import pytest

from vretr.images import Unreadable, find

JPEG = b"\xff\xd8\xff\xe0 begins like a JPEG"


def plant(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def found(root: Path, **options: object) -> list[str]:
    return [os.path.relpath(path, root) for path in find([root], **options)]


def refuse(problem: Unreadable) -> None:
    raise AssertionError(problem)


def test_order_is_files_then_folders_by_the_bytes_of_their_names(tmp_path):
    plant(
        tmp_path, "b.jpg", "a/z.jpg", "B.jpg", "é.jpg", "a.jpg", "Z/a.jpg", "a/b/c.jpg", "a/y/c.jpg"
    )
    assert found(tmp_path) == [
        *("B.jpg", "a.jpg", "b.jpg", "é.jpg"),
        *("Z/a.jpg", "a/z.jpg", "a/b/c.jpg", "a/y/c.jpg"),
    ]


def test_a_picture_is_told_by_its_suffix_in_any_case_or_without_one_by_its_first_bytes(tmp_path):
    plant(tmp_path, "a.JPG", "b.jpeg", "c.Heic", "d.avif", "e.txt", "f.svg", "g.pdf", "README")
    plant(tmp_path, "h", "i.d", "j.jpg.bak", content=JPEG)
    assert found(tmp_path) == ["a.JPG", "b.jpeg", "c.Heic", "d.avif", "h"]


def test_hidden_things_and_folders_of_programs_are_left_out(tmp_path):
    folders = [".git", ".vretr", "node_modules", "@eaDir", "#recycle", "$RECYCLE.BIN", "a/.b"]
    plant(tmp_path, *(f"{folder}/x.jpg" for folder in folders), ".hidden.jpg", "._x.jpg", "a/x.jpg")
    assert found(tmp_path, on_problem=refuse) == ["a/x.jpg"]


def test_marked_folders_are_left_out_unless_they_are_the_root(tmp_path):
    plant(tmp_path, "cache/x.jpg", "private/x.jpg", "private/deep/x.jpg", "other/x.jpg", ".nomedia")
    plant(tmp_path, "private/.nomedia")
    tag = b"Signature: 8a477f597d28d172789f06886806bc55\n# made by a program"
    plant(tmp_path, "cache/CACHEDIR.TAG", content=tag)
    plant(tmp_path, "other/CACHEDIR.TAG", content=b"something else")
    assert found(tmp_path) == ["other/x.jpg"]
    assert found(tmp_path / "cache") == ["x.jpg"]


def test_a_root_that_is_a_file_is_taken_as_it_is(tmp_path):
    plant(tmp_path, ".hidden.jpg", "notes.txt")
    roots = [tmp_path / "notes.txt", tmp_path / ".hidden.jpg"]
    assert list(find(roots)) == roots


def test_globs_match_names_or_paths_below_the_root(tmp_path, monkeypatch):
    plant(tmp_path, "a/x.jpg", "a/raw/x.jpg", "b/raw/y.jpg", "b/y.jpg", "b/[1].jpg", "raw.jpg")
    everything = ["raw.jpg", "a/x.jpg", "a/raw/x.jpg", "b/[1].jpg", "b/y.jpg", "b/raw/y.jpg"]
    cases = {
        "raw": ["raw.jpg", "a/x.jpg", "b/[1].jpg", "b/y.jpg"],
        "raw/": ["raw.jpg", "a/x.jpg", "b/[1].jpg", "b/y.jpg"],
        "a/raw": ["raw.jpg", "a/x.jpg", "b/[1].jpg", "b/y.jpg", "b/raw/y.jpg"],
        "./a/raw": ["raw.jpg", "a/x.jpg", "b/[1].jpg", "b/y.jpg", "b/raw/y.jpg"],
        "*/raw/*": ["raw.jpg", "a/x.jpg", "b/[1].jpg", "b/y.jpg"],
        "x.*": ["raw.jpg", "b/[1].jpg", "b/y.jpg", "b/raw/y.jpg"],
        "X.*": everything,
        "[[]1].jpg": ["raw.jpg", "a/x.jpg", "a/raw/x.jpg", "b/y.jpg", "b/raw/y.jpg"],
    }
    assert found(tmp_path) == everything
    for pattern, expected in cases.items():
        assert found(tmp_path, exclude=[pattern]) == expected, pattern
    assert found(tmp_path, exclude=["a", "b/*"]) == ["raw.jpg"]
    assert list(find([tmp_path / "raw.jpg"], exclude=["raw*"])) == []
    monkeypatch.chdir(tmp_path)
    assert [str(p) for p in find([Path("."), Path("a/")], exclude=["b/*", "raw/*"])] == [
        *("raw.jpg", "a/x.jpg", "a/raw/x.jpg")  # a was visited; `raw/*` is meant from the root
    ]


def test_names_that_are_not_utf8_or_hold_a_newline_or_are_long(tmp_path):
    names = [b"caf\xe9.jpg", b"two\nlines.jpg", b"l" * 251 + b".jpg", b" .jpg", b"-x.jpg"]
    made = []
    for name in names:
        try:
            (Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))).write_bytes(b"x")
        except OSError:
            continue
        made.append(name)
    assert [os.fsencode(path.name) for path in find([tmp_path])] == sorted(made)
    assert len(made) >= 3


def test_links_are_followed_and_each_real_folder_is_visited_once(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    plant(root, "z/real.jpg", "pipe.txt")
    plant(outside, "far.jpg", "deep/far.jpg")
    (root / "z" / "loop").symlink_to(".")
    (root / "a_link").symlink_to("z")  # sorts before z, which yet keeps its real path
    (root / "far").symlink_to(outside)
    (root / "farther").symlink_to(outside / "deep")
    (root / "up").symlink_to("..")  # holds the root: would bring in all that lies beside it
    (root / "one.jpg").symlink_to(outside / "far.jpg")
    assert found(root, on_problem=refuse) == [
        *("one.jpg", "z/real.jpg", "far/far.jpg", "far/deep/far.jpg")
    ]


def test_two_roots_that_overlap(tmp_path):
    plant(tmp_path, "a/x.jpg", "b/y.jpg")
    assert [p.name for p in find([tmp_path / "a", tmp_path])] == ["x.jpg", "y.jpg"]
    assert [p.name for p in find([tmp_path, tmp_path / "a"])] == ["x.jpg", "y.jpg"]


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty").mkdir()
    plant(tmp_path, "folder.jpg/x.jpg")
    assert found(tmp_path, on_problem=refuse) == ["folder.jpg/x.jpg"]


def test_problems_are_told_and_the_walk_goes_on(tmp_path, monkeypatch):
    plant(tmp_path, "a/x.jpg", "b/x.jpg", "c/x.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    scandir = os.scandir

    def without_b(folder):
        if os.path.basename(folder) == b"b":
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", without_b)
    problems: list[Unreadable] = []
    roots = [tmp_path / "missing", tmp_path]
    paths = [path.relative_to(tmp_path) for path in find(roots, on_problem=problems.append)]
    assert paths == [Path("a/x.jpg"), Path("c/x.jpg")]
    assert [(problem.path.name, problem.reason) for problem in sorted(problems, key=str)] == [
        ("b", "permission denied"),
        ("circle.jpg", "a link to nothing"),
        ("gone.jpg", "a link to nothing"),
        ("missing", "no such file or folder"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root lists everything")
def test_a_folder_without_permission_is_told(tmp_path, caplog):
    plant(tmp_path, "a/x.jpg", "b/x.jpg")
    (tmp_path / "a").chmod(0)
    try:
        assert found(tmp_path) == ["b/x.jpg"]
    finally:
        (tmp_path / "a").chmod(0o700)
    assert "permission denied" in caplog.text


def test_the_walk_is_lazy(tmp_path, monkeypatch):
    plant(tmp_path, "a/x.jpg", "b/x.jpg", "c/x.jpg")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scandir(folder))
    walk = find([tmp_path])
    assert listed == []
    next(walk)
    assert [os.path.basename(folder) for folder in listed] == [os.fsencode(tmp_path.name), b"a"]


def test_many_files_take_little_memory(tmp_path):
    for number in range(5_000):
        os.mknod(tmp_path / f"IMG_{number:08}.jpg")
    tracemalloc.start()
    try:
        assert sum(1 for _ in find([tmp_path])) == 5_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 5_000 * 150  # a name of this length takes 51 bytes and 8 in a list


def test_a_deep_tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1_100):  # deeper than Python's recursion limit
        os.mkdir("d")
        os.chdir("d")
    Path("x.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert sum(1 for _ in find([Path(".")], on_problem=refuse)) == 1
    for _ in range(1_100):
        os.chdir("d")
    os.unlink("x.jpg")
    for _ in range(1_100):
        os.chdir("..")
        os.rmdir("d")
