"""Names that options are made of."""

# How the benchmarks are called, and how they are written.
TITLES = {"circo": "CIRCO", "cirr": "CIRR", "fashioniq": "FashionIQ", "genecis": "GeneCIS"}

# Of GeneCIS.
TASKS = ("focus_attribute", "change_attribute", "focus_object", "change_object")
