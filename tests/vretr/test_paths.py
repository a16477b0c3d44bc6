import json
import os
import stat
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vretr import paths
from vretr.paths import atomic_write, display, json_fields

names = st.binary(min_size=1, max_size=40).map(os.fsdecode)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name (1).jpg", "plain name (1).jpg"),
        ("사진 é e\u0301 🐶.jpg", "사진 é e\u0301 🐶.jpg"),
        ("a\x1b]0;title\x07.jpg", r"a\x1b]0;title\x07.jpg"),
        ("a\rb\nc\td\0", r"a\rb\nc\td\x00"),
        ("a\x9b31m\x7f", r"a\x9b31m\x7f"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("a\u200b\ufeff\u2028\u2029\u2066", r"a\u200b\ufeff\u2028\u2029\u2066"),
        ("a\U000e0041", r"a\U000e0041"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        ("a\ud800", r"a\ud800"),
        (Path("folder/x.jpg"), "folder/x.jpg"),
        ("[red]b[/red]", "[red]b[/red]"),
    ],
)
def test_display(name, shown):
    assert display(name) == shown


@given(names)
def test_display_is_one_safe_line_of_utf8(name):
    shown = display(name)
    shown.encode("utf-8")
    assert shown.isprintable() or shown.replace("\u3000", "").replace("\xa0", "")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert len(shown.splitlines()) <= 1


@given(names)
def test_json_fields_give_back_the_exact_name(name):
    fields = json.loads(json.dumps(json_fields(name), ensure_ascii=False).encode("utf-8"))
    exact = b64decode(fields["path_b64"]) if "path_b64" in fields else os.fsencode(fields["path"])
    assert exact == os.fsencode(name)


def test_json_fields_of_names_that_are_utf8_and_not():
    assert json_fields("é\n.jpg") == {"path": "é\n.jpg"}
    assert json_fields(Path(os.fsdecode(b"caf\xe9"))) == {
        "path": "caf\ufffd",
        "path_b64": "Y2Fm6Q==",
    }


@pytest.mark.parametrize("old", [None, b"old"])
def test_atomic_write_keeps_what_was_there_if_it_fails(tmp_path, old):
    path = tmp_path / "x"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half of the new con")
        raise KeyboardInterrupt
    assert (path.read_bytes() if path.exists() else None) == old
    assert [entry.name for entry in tmp_path.iterdir()] == ([] if old is None else ["x"])


def test_atomic_write_keeps_what_was_there_if_the_disk_fills_up(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_atomic_write_shows_the_new_content_only_when_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_atomic_write_gives_the_rights_that_any_new_file_gets(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_write(tmp_path / "x"):
        pass
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "usual").stat().st_mode
    )


def test_atomic_write_keeps_the_rights_of_the_file_it_replaces(tmp_path):
    path = tmp_path / "x"
    path.touch(0o600)
    path.chmod(0o640)
    with atomic_write(path) as file:
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", [b"l" * 255, "é".encode() * 127, b"caf\xe9", b"two\nlines"])
def test_atomic_write_of_any_name(tmp_path, name):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    try:
        path.touch()
    except OSError:
        pytest.skip("the file system refuses this name")
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_where_caches_are(monkeypatch, tmp_path):
    for name in ("VRETR_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/h")
    assert paths.home() == Path("/h/.cache/vretr")
    assert paths.hub_cache() == Path("/h/.cache/huggingface/hub")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert paths.home() == Path("/c/vretr")
    assert paths.hub_cache() == Path("/c/huggingface/hub")
    monkeypatch.setenv("HF_HOME", "~/hf")
    assert paths.hub_cache() == Path("/h/hf/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "/hub")
    assert paths.hub_cache() == Path("/hub")
    monkeypatch.setenv("VRETR_HOME", "~/v")
    assert paths.home() == Path("/h/v")


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("true", True), ("0", False), ("", False), ("No", False)]
)
def test_offline(monkeypatch, value, offline):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("VRETR_OFFLINE", raising=False)
    assert not paths.offline()
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert paths.offline() is offline
    monkeypatch.setenv("VRETR_OFFLINE", "1")
    assert paths.offline()
    paths.go_offline()
    assert os.environ["HF_HUB_OFFLINE"] == "1"
