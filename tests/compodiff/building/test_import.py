"""Sets of others: any table, any names of columns, pictures inside or beside it."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compodiff.build_triplets import build_triplets
from compodiff.building import importing, tables
from tests.compodiff.build_stub import config, lines, paint, write
from vretr.data import triplets
from vretr.errors import MismatchError, UsageError

COLUMNS = "reference=src,target=dst,text=how"


def picture(colour: str, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(stream, form)
    return stream.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        paint(tmp_path / "set" / "p" / f"{name}.png", "red", ord(name))
    rows = [{"src": f"p/{a}.png", "dst": f"p/{b}.png", "how": f"make {b}"} for a, b in ("ab", "bc")]
    return write(tmp_path / "set" / "t.jsonl", *rows)


def imported(file: Path, out: Path, columns: str = COLUMNS, **options: Any) -> list[dict[str, Any]]:
    build_triplets(config(file, "import", out, columns=columns, **options))
    known = triplets.load(out / "triplets.jsonl")
    rows = lines(out / "triplets.jsonl")
    assert [each.text for each in known] == [row["text"] for row in rows]
    return rows


def test_names_beside_the_table(table: Path, tmp_path: Path) -> None:
    rows = imported(table, tmp_path / "out")
    assert [(Path(r["reference"]).name, Path(r["target"]).name, r["text"]) for r in rows] == [
        ("a.png", "b.png", "make b"),
        ("b.png", "c.png", "make c"),
    ]
    moved = table.rename(tmp_path / "moved.jsonl")
    assert imported(moved, tmp_path / "out", root=tmp_path / "set") == rows


def test_csv_and_gzip(table: Path, tmp_path: Path) -> None:
    rows = imported(table, tmp_path / "out")
    text = "src,dst,how\n" + "".join(f"p/{a}.png,p/{b}.png,make {b}\n" for a, b in ("ab", "bc"))
    (table.parent / "t.csv").write_text(text)
    assert imported(table.parent / "t.csv", tmp_path / "b") == rows
    (table.parent / "z.jsonl.gz").write_bytes(gzip.compress(table.read_bytes()))
    assert imported(table.parent / "z.jsonl.gz", tmp_path / "c") == rows


def test_pictures_in_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    colours = [("red", "blue"), ("green", "black")]
    rows = [
        {
            "src": {"bytes": picture(a), "path": None},
            "dst": {"bytes": picture(b, "JPEG"), "path": None},
            "how": f"{a} to {b}",
            "cap": a,
            "part": "train" if a == "red" else "validation",
            "key": f"k{a}",
        }
        for a, b in colours
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t")  # no name tells what it is
    columns = f"{COLUMNS},reference_caption=cap,split=part,id=key"
    (row,) = imported(tmp_path / "t", tmp_path / "out", columns)
    assert row["id"] == "kred" and row["reference_caption"] == "red" and row["split"] == "train"
    (other,) = lines(tmp_path / "out" / "triplets-validation.jsonl")
    assert other["text"] == "green to black"
    found = Image.open(tmp_path / "out" / row["reference"])
    assert found.getpixel((3, 3)) == (255, 0, 0) and row["target"].endswith(".jpg")
    found.close()
    with pytest.raises(UsageError, match="The table says the splits"):
        imported(tmp_path / "t", tmp_path / "out", columns, val=0.1)


def test_shards_in_a_tar(tmp_path: Path) -> None:
    file = tmp_path / "00000.tar"
    with tarfile.open(file, "w") as archive:
        for number, (a, b) in enumerate((("red", "blue"), ("green", "black"))):
            for ending, content in (
                ("before.jpg", picture(a, "JPEG")),
                ("after.jpg", picture(b, "JPEG")),
                ("json", json.dumps({"how": f"to {b}", "id": number}).encode()),
                ("txt", b"said"),
            ):
                info = tarfile.TarInfo(f"./shard/{number:05}.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    columns = "reference=before.jpg,target=after.jpg,text=how,target_caption=txt"
    rows = imported(file, tmp_path / "out", columns)
    assert [row["text"] for row in rows] == ["to blue", "to black"]
    assert rows[1]["target_caption"] == "said"
    pixels = np.asarray(Image.open(tmp_path / "out" / rows[0]["reference"]))
    assert abs(pixels[5, 5].astype(int) - (255, 0, 0)).max() < 4


def test_what_cannot_be_imported(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fails(kind: type[Exception], match: str, columns: str = COLUMNS, **options: Any) -> None:
        with pytest.raises(kind, match=match):
            build_triplets(config(table, "import", out, columns=columns, **options))
        assert not [*out.glob("*.jsonl")]

    fails(MismatchError, "no column reference or target or text; it has src, dst, how", "")
    fails(UsageError, "'src' is not", "src")
    fails(UsageError, r"knows no 'refrence'; did you mean reference", "refrence=src")
    rows = lines(table)
    write(table, *rows, {"src": "p/gone.png", "dst": "p/a.png", "how": "x"}, {"src": "p/a.png"})
    fails(
        MismatchError,
        r"2 rows that cannot be used: row 3: picture is missing: p/gone.png; row 4: no text",
    )
    (told,) = build_triplets(config(table, "import", out, columns=COLUMNS, allow_missing=True))
    assert told["rejected"] == {"picture is missing": 1, "no text": 1}
    assert told["triplets"] == 2
    for file in out.glob("*.jsonl"):
        file.unlink()
    write(table, {"src": "p/a.png", "dst": "p/b.png", "how": "x", "part": "../../x"})
    fails(MismatchError, "no split", f"{COLUMNS},split=part")
    write(table)
    fails(MismatchError, "has no row")
    with pytest.raises(ValueError, match="picture cannot be read"):
        importing._written(b"no picture", "x", out)


def test_damaged_tables(tmp_path: Path) -> None:
    for name, content in (
        ("x.gz", gzip.compress(b"a red dog\n" * 99)[:-9]),
        ("x.parquet", b"PAR1 and no more"),
        ("x.txt", b"caf\xe9\n"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(MismatchError, match=r"cannot be read|is no parquet file"):
            list(tables.rows(file))
