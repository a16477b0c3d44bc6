"""How fast `vretr build-triplets` is, and how many of its mined instructions are true.

    python benchmarks/build_triplets.py --data FOLDER [--shown 100]

FOLDER holds captions.txt.gz and fashion.zip. Captions a second: text triplets of all captions, in
one process, and what memory grows by. Mining: the photos of fashion.zip (unpacked before), with
near-duplicates looked for without an encoder. The triplets to look at are drawn from the training
split: the same article type, gender and usage, another colour. Each is printed with what the shop's
labels and product names say, so that a person can count the true ones; the count that the product
names confirm is printed below. A name confirms where it holds a colour and that is the label's.
"""

import argparse
import gzip
import json
import resource
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from compodiff.build_config import BuildConfig
from compodiff.build_triplets import build_triplets
from compodiff.building import keywords
from compodiff.building.rows import targets_of
from vretr.data.sources import folder_of, rows

SAME = ("article_type", "gender", "usage")


def main() -> None:
    """Prints throughput, then the triplets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="captions.txt.gz, fashion.zip")
    parser.add_argument("--shown", type=int, default=100, help="triplets to look at")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        captions(options.data / "captions.txt.gz", Path(folder))
        mining(options.data / "fashion.zip", Path(folder))
        look(options.data / "fashion.zip", Path(folder), options.shown)


def captions(source: Path, out: Path) -> None:
    """Text triplets of every caption."""
    with gzip.open(source) as file:
        count = sum(1 for _ in file)
    before, begun = _peak(), (time.perf_counter(), time.process_time())
    (told,) = build_triplets(BuildConfig(source=source, from_="captions", out=out / "captions"))
    seconds, own = time.perf_counter() - begun[0], time.process_time() - begun[1]
    print(
        f"{count:,} captions, {told['triplets']:,} triplets: {seconds:.1f} s, "
        f"{count / seconds:,.0f} captions/s ({count / own:,.0f} by processor time), "
        f"{_peak() - before:.0f} MiB more"
    )


def mining(source: Path, out: Path) -> None:
    """Colour triplets of all photos, near-duplicates left out."""
    folder_of(source)
    begun = time.perf_counter(), _times()
    config = BuildConfig(
        source=source, from_="folder", out=out / "all", change=("colour",), same=SAME, examples=0
    )
    (told,) = build_triplets(config)
    seconds = time.perf_counter() - begun[0]
    photos = json.loads((out / "all" / "report.json").read_text())["steps"]["photos"]
    print(
        f"{photos:,} photos, {told['triplets']:,} triplets mined: {seconds:.1f} s "
        f"({_times() - begun[1]:.1f} s of processor time)"
    )


def look(source: Path, out: Path, shown: int) -> None:
    """Some of the training split's triplets with what is known of their photos."""
    config = BuildConfig(
        source=source,
        from_="folder",
        out=out / "train",
        split="train",
        change=("colour",),
        same=SAME,
    )
    build_triplets(config)
    known = {row["id"]: row for _, row in rows(folder_of(source) / "metadata.jsonl")}
    with (out / "train" / "triplets.jsonl").open() as file:
        made = [json.loads(line) for line in file]
    table = keywords.load(groups=["colour"])
    verdicts = []
    for row in Random(0).sample(made, min(shown, len(made))):
        pair = (row["reference"], targets_of(row)[0])
        reference, target = (known[Path(name).stem] for name in pair)
        fits = all(reference[name] == target[name] for name in SAME)
        changed = (reference["colour"].lower(), target["colour"].lower())
        labels = fits and changed == (row["edit"]["from"], row["edit"]["to"])
        named = [_named(each["name"], each["colour"], table) for each in (reference, target)]
        verdicts.append((labels, named))
        print(f"{row['text']!r}\n    {_told(reference)}\n    {_told(target)}")
    right = sum(labels for labels, _ in verdicts)
    both = [named for _, named in verdicts if None not in named]
    print(f"{right} of {len(verdicts)} instructions are what the labels say")
    print(f"{sum(map(all, both))} of the {len(both)} whose two names tell colours are confirmed")


def _named(name: str, label: str, table: keywords.Table) -> bool | None:
    """Whether the colour in a product's name is the label's; None where it names none."""
    said = {each.meaning for each in table.find(name)}
    wanted = {each.meaning for each in table.find(label)}
    return bool(said & wanted) if said and wanted else None


def _told(row: dict[str, Any]) -> str:
    labels = ", ".join(row[name] for name in ("colour", *SAME))
    return f"{labels} — {row['name']} ({row['id']})"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _times() -> float:
    own, children = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    used = (resource.getrusage(who) for who in (own, children))
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
