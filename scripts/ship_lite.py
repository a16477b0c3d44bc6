"""Puts the heads of a Run into the package, in half precision: `ship_lite.py runs/x`.

What only the training needs, the temperature, is left out. The card beside them
(vretr/encoders/lite/weights/README.md) is written by hand.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from vretr.encoders.lite.heads import SHIPPED

run = Path(sys.argv[1])
heads = load_file(run / "model.safetensors")
heads.pop("log_scale")
SHIPPED.parent.mkdir(exist_ok=True)
save_file({name: value.astype(np.float16) for name, value in heads.items()}, SHIPPED)
print(f"{SHIPPED}: {SHIPPED.stat().st_size / 1e6:.1f} MB")
