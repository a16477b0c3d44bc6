"""Puts the φ of a Run into LinCIR's package, in half precision:

    python scripts/ship_lincir.py runs/x lite "mix(0.2, 0.6)"

The second argument is the file's name, the third what the card's `default` says (lincir/files.py):
what did best on validation data. lincir/weights/README.md, the card beside it, is written by hand.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from lincir import files

run, name, default = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
about = files.read(run).about
tensors = load_file(run / "model.safetensors")
kept = {"encoder": about["encoder"], "default": default}
shipped = files.SHIPPED / f"{name}.safetensors"
shipped.parent.mkdir(exist_ok=True)
save_file(
    {name: value.astype(np.float16) if value.ndim else value for name, value in tensors.items()},
    shipped,
    {"vretr": json.dumps(kept)},
)
print(f"{shipped}: {shipped.stat().st_size / 1e6:.1f} MB")
