import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from vretr.errors import MismatchError, UsageError
from vretr.evaluation.config import RetrievalConfig
from vretr.evaluation.retrieval import evaluate
from vretr.methods import Report


def measure(data: Path, **options: Any) -> Report:
    return evaluate(
        RetrievalConfig(**{"data": data, "encoder": "colours", "workers": 0, **options})
    )


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def captioned(photos: Path) -> Path:
    """A circle of each colour; one of its two captions names the colour, the other none."""
    rows = [
        {
            "file_name": f"{colour}_circle.jpg",
            "captions": [f"a {colour} disc", "a disc"],
            "captions_ko": [f"{colour} 원"] if colour != "blue" else [],
            "split": "dev",
        }
        for colour in ("red", "green", "blue")
    ]
    rows.append({"file_name": "red_line.jpg", "captions": ["a red line"], "split": "train"})
    write(photos / "metadata.jsonl", rows)
    return photos


def test_captions_both_ways(captioned: Path) -> None:
    report = measure(captioned, split="dev", ties="pessimistic")
    # "a disc" is equally far from the three photos: rank 3, at worst.
    assert report.metrics == pytest.approx(
        {
            "text_to_image_recall@1": 0.5,
            "text_to_image_recall@5": 1,
            "text_to_image_recall@10": 1,
            "text_to_image_median_rank": 2,
            "image_to_text_recall@1": 1,
            "image_to_text_recall@5": 1,
            "image_to_text_recall@10": 1,
            "image_to_text_median_rank": 1,
        }
    )
    assert report.split == "dev"
    assert report.settings == {
        "photos": 3,
        "captions": 6,
        "captions_field": "captions",
        "encoder": "colours",
        "identity": "identity of colours",
        "precision": "auto",
        "ties": "pessimistic",
    }
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert measure(captioned).settings["photos"] == 4


def test_another_column_of_captions(captioned: Path) -> None:
    report = measure(captioned, captions_field="captions_ko")
    assert report.settings["photos"] == report.settings["captions"] == 2
    assert report.metrics["text_to_image_recall@1"] == 1
    with pytest.raises(MismatchError, match="no photo with a caption in 'captions_kr'"):
        measure(captioned, captions_field="captions_kr")


def test_captions_in_a_zip(captioned: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in captioned.iterdir():
            archive.write(file, f"inner/{file.name}")
    whole = measure(captioned, split="dev")
    assert measure(tmp_path / "photos.zip" / "inner", split="dev").metrics == whole.metrics


def test_labels_of_single_photos(photos: Path) -> None:
    rows = [
        {"file_name": f"{colour}_circle.jpg", "class_name": name}
        for colour, name in [("red", "red"), ("green", "green"), ("blue", "red and green")]
    ]
    write(photos / "labels.jsonl", rows)
    report = measure(photos)
    # The photo called "red and green" is blue: the wrong name for it, last for its own name.
    assert report.metrics == pytest.approx(
        {
            "name_to_image_recall@1": 2 / 3,
            "name_to_image_recall@5": 1,
            "image_to_name_recall@1": 2 / 3,
            "image_to_name_recall@5": 1,
        }
    )
    assert report.settings["classes"] == 3
    assert report.settings["prompt"] == "a photo of a {}"
    with pytest.raises(MismatchError, match="every class has one photo"):
        measure(photos, encoder="blind-colours")


def test_folders_of_classes(photos: Path) -> None:
    for photo in list(photos.iterdir()):
        colour = photo.name.split("_")[0]
        (photos / colour).mkdir(exist_ok=True)
        photo.rename(photos / colour / photo.name)
    (photos / "grey").mkdir()
    (photos / "red" / "red_line.jpg").rename(photos / "grey" / "line.jpg")
    report = measure(photos, encoder="blind-colours")
    # Four green, four blue, three red, and a red line that is called grey.
    assert report.settings["photos"] == 12 and report.settings["alone_in_their_class"] == 1
    # To the three it looks like one of them, and stands before them in the gallery.
    assert report.metrics == pytest.approx(
        {
            "image_to_image_recall@1": 8 / 11,
            "image_to_image_r_precision": (8 + 3 * 1 / 2) / 11,
            "image_to_image_map@r": (8 + 3 * 1 / 4) / 11,
        }
    )
    named = measure(photos, prompt="{}!").metrics
    assert named["image_to_name_recall@1"] == pytest.approx(11 / 12)
    assert (named["name_to_image_recall@1"], named["name_to_image_recall@5"]) == (0.5, 0.75)


def test_labels_in_a_column_of_captioned_photos(captioned: Path) -> None:
    report = measure(captioned, label_field="split")
    assert report.settings["classes"] == 2


def test_what_cannot_be_measured(captioned: Path) -> None:
    with pytest.raises(UsageError, match="does not read words"):
        measure(captioned, encoder="blind-colours")
    with pytest.raises(ValueError, match=r"must hold {} once"):
        measure(captioned, prompt="a photo")
    with pytest.raises(ValueError, match="exclude each other"):
        measure(captioned, captions_field="captions", label_field="split")
    with pytest.raises(ValueError, match="at least 1"):
        measure(captioned, batch_size=0)
    with pytest.raises(MismatchError, match="no folder and no zip"):
        measure(captioned / "nowhere")
