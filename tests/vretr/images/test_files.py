import hashlib
import os
import socket
from pathlib import Path

import pytest

from vretr.images import File, Unreadable, digest
from vretr.images.files import open_regular


def test_a_digest_is_blake2b_of_the_whole_content(tmp_path):
    content = os.urandom(3_000_001)
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    status = path.stat()
    expected = hashlib.blake2b(content, digest_size=16).digest()
    assert digest(path) == File(path, 3_000_001, status.st_mtime_ns, expected)


def test_an_empty_file_has_a_digest(tmp_path):
    path = tmp_path / "x.jpg"
    path.touch()
    assert digest(path).digest == hashlib.blake2b(digest_size=16).digest()


def test_what_is_no_file_is_a_reason(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "nothing.jpg").symlink_to("gone.jpg")
    reasons = {
        "folder.jpg": "a folder",
        "pipe.jpg": "not a regular file",
        "loop.jpg": "a link that leads in a circle",
        "nothing.jpg": "no such file",
        "missing.jpg": "no such file",
        "n" * 300: "file name too long",
    }
    for name, reason in reasons.items():
        assert digest(tmp_path / name) == Unreadable(tmp_path / name, reason)


def test_a_socket_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.jpg")
        assert digest(Path("s.jpg")).reason == "not a regular file"


def test_a_name_with_a_zero_byte_is_a_reason():
    assert isinstance(digest(Path("a\0b.jpg")), Unreadable)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission_is_a_reason(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    assert digest(path).reason == "permission denied"


def test_a_file_that_is_written_to_meanwhile_has_changed(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"before")
    opened = open_regular(path)
    with opened.stream:
        assert not opened.changed()
        path.write_bytes(b"afterwards")
        assert opened.changed()
