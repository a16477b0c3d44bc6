"""Puts the network of a Run into the line detector's package, folded and in half precision:

    python scripts/ship_lsd.py runs/x tiny

lsd/weights/README.md, the card beside it, is written by hand.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lsd import files

run, name = Path(sys.argv[1]), sys.argv[2]
shipped = files.SHIPPED / f"{name}.safetensors"
shipped.parent.mkdir(exist_ok=True)
save_file({name: value.astype(np.float16) for name, value in files.read(run).items()}, shipped)
print(f"{shipped}: {shipped.stat().st_size / 1e6:.1f} MB")
