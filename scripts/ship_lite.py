"""Puts the heads of a Run into the package, in half precision: `ship_lite.py runs/x [free]`.

What only the training needs, the temperature, is left out; the classes' codes stay small integers.
The card beside them (vretr/encoders/lite/weights/README.md) is written by hand.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from vretr.encoders.lite import terms

run, which = Path(sys.argv[1]), (sys.argv[2:] or [""])[0]
heads = load_file(run / "model.safetensors")
heads.pop("log_scale")
shipped = terms.path(which)
shipped.parent.mkdir(exist_ok=True)
save_file(
    {
        name: value if value.dtype == np.int8 else value.astype(np.float16)
        for name, value in heads.items()
    },
    shipped,
)
print(f"{shipped}: {shipped.stat().st_size / 1e6:.1f} MB")
