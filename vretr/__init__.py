"""vretr: visual retrieval. The common core of the toolkit; `import vretr` is the library.

encoder = vretr.load_encoder("lite")
index = vretr.Index.open("photos/")
hits = index.search(encoder.encode_texts(["a dog in the snow"])[0], k=10)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vretr.composers import Composer, WeightedSum
    from vretr.encoders import Encoder, load_encoder
    from vretr.errors import MismatchError, UsageError, VretrError
    from vretr.index import Hit, Index
    from vretr.methods import Method, Report, Verb
    from vretr.training import Run

__version__ = "0.1.0"

# Public name -> its module. Imported when first used, so that `import vretr` stays light.
_HOMES = {
    "Composer": "vretr.composers",
    "Encoder": "vretr.encoders",
    "Hit": "vretr.index",
    "Index": "vretr.index",
    "Method": "vretr.methods",
    "MismatchError": "vretr.errors",
    "Report": "vretr.methods",
    "Run": "vretr.training",
    "UsageError": "vretr.errors",
    "Verb": "vretr.methods",
    "VretrError": "vretr.errors",
    "WeightedSum": "vretr.composers",
    "load_encoder": "vretr.encoders",
}
__all__ = [
    "Composer",
    "Encoder",
    "Hit",
    "Index",
    "Method",
    "MismatchError",
    "Report",
    "Run",
    "UsageError",
    "Verb",
    "VretrError",
    "WeightedSum",
    "__version__",
    "load_encoder",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vretr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
