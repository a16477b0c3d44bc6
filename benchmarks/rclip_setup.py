"""Prepares rclip 3.3.0 for `benchmarks/startup.py --rclip FOLDER`: its own environment, and no hub.

    python benchmarks/rclip_setup.py FOLDER [--rows 100000]

FOLDER gets `venv` (rclip from PyPI), `data` (what rclip would have fetched: open_clip's
ViT-B-32-256 as two ONNX files, here with random weights, which cost the same time) and, for `rows`
photos below FOLDER/photos that do not exist, random unit vectors in rclip's database. The export
takes the packages open_clip and onnx in the environment that runs this.
"""

import argparse
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

VERSION = "3.3.0"
MODEL = "ViT-B-32-256"
FOLDER = "ViT-B-32-256-datacomp_s34b_b86k"  # as rclip names it

FILL = """
import sys
import numpy as np
from rclip.db import DB
database, photos, rows = DB(sys.argv[1]), sys.argv[2], int(sys.argv[3])
draws = np.random.default_rng(0)
for number in range(rows):
    vector = draws.standard_normal(512, dtype=np.float32)
    vector /= np.linalg.norm(vector)
    image = dict(filepath=f"{photos}/{number}.jpg", modified_at=1.0, size=1,
                 vector=vector.tobytes(), hash=str(number))
    database.upsert_image(image, commit=False)
database.close()
"""


def export(folder: Path) -> None:
    """The model's two towers as rclip loads them, with random weights (seed 0)."""
    import open_clip
    import torch

    torch.manual_seed(0)
    model = open_clip.create_model(MODEL, pretrained=None).eval()
    torch.backends.mha.set_fastpath_enabled(False)  # which cannot be exported

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.model.encode_text(tokens)

    towers = {
        "visual": (model.visual, torch.zeros(1, 3, 256, 256)),
        "textual": (Words(), torch.zeros(1, 77, dtype=torch.int64)),
    }
    for name, (tower, example) in towers.items():
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                tower,
                (example,),
                str(folder / f"{name}.onnx"),
                opset_version=18,
                dynamo=False,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            )
    tokenizer = folder.parent / "tokenizer"
    tokenizer.mkdir(exist_ok=True)
    shutil.copy(Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz"), tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    place = options.folder.resolve()
    python = place / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"rclip=={VERSION}"], check=True)
    model = place / "data" / FOLDER
    if not (place / "data" / "tokenizer").exists():  # what is written last
        model.mkdir(parents=True, exist_ok=True)
        export(model)
    (place / "photos").mkdir(exist_ok=True)
    database = place / "data" / "db.sqlite3"
    database.unlink(missing_ok=True)
    fill = [python, "-c", FILL, database, place / "photos", str(options.rows)]
    subprocess.run(fill, check=True)
    print(f"rclip {VERSION} with {options.rows:,} rows lies in {place}")


if __name__ == "__main__":
    main()
