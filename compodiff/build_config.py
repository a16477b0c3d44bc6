"""What `vretr build-triplets` can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from vretr.methods import ARGUMENT


def encoders() -> Iterable[str]:
    """Names to complete `--encoder` with; looked up only when that is asked for."""
    from vretr.encoders.names import known_names

    return known_names()


@dataclass(frozen=True, kw_only=True)
class Common:
    """Filters, splits and output"""

    encoder: Annotated[
        str | None,
        "Encoder that judges pictures and words; without one there are no scores.",
        encoders,
    ] = None
    min_img_img: Annotated[
        float | None,
        "Least cosine of the two pictures (generate: 0.70, which is made for ViT-L as the next "
        "four are).",
    ] = None
    max_img_img: Annotated[
        float | None, "Largest; more alike are near-duplicates (generate, folder: 0.985)."
    ] = None
    min_dir: Annotated[
        float | None,
        "Least cosine of the change of the pictures and that of the words (generate: 0.20).",
    ] = None
    min_txt: Annotated[
        float | None, "Least cosine of each picture and its own words (generate: 0.20)."
    ] = None
    calibrate: Annotated[
        Path | None,
        "File of triplets that are known to be true: what is not given above is set so that 70 % "
        "of them would pass each filter, and is printed.",
    ] = None
    val: Annotated[float, "Share of photos (or captions) in NAME-val.jsonl."] = 0.0
    test: Annotated[float, "Share in NAME-test.jsonl."] = 0.0
    hold_out_by: Annotated[
        Literal["components", "photos"],
        "Photos that hang together by triplets go to one split; or each photo is drawn, and "
        "triplets across splits are left out.",
    ] = "components"
    format: Annotated[
        Literal["jsonl", "parquet", "webdataset", "fashioniq", "cirr"],
        "How they are written: webdataset is shards with the pictures inside; the last two are "
        "annotations laid out as those benchmarks' own.",
    ] = "jsonl"
    limit: Annotated[int, "Only the first so many captions, rows or text triplets; 0: all."] = 0
    allow_missing: Annotated[
        bool, "Leave out rows with missing fields and photos that are not there, and count them."
    ] = False
    examples: Annotated[int, "Triplets to look at on examples.html."] = 24
    seed: Annotated[int, "Decides all draws; equal seeds give equal files."] = 0
    workers: Annotated[int | None, "Processes that decode; default: one a processor."] = None
    device: Annotated[str, "auto, cpu, cuda, cuda:1, mps."] = "auto"

    def __post_init__(self) -> None:
        """Raises ValueError for values with which nothing can be built."""
        if min(self.val, self.test) < 0 or self.val + self.test >= 1:
            raise ValueError("val and test must be shares, and leave something to train on")
        if min(self.limit, self.examples) < 0:
            raise ValueError("limit and examples must be 0 or more")
        judged = (self.min_img_img, self.min_dir, self.min_txt, self.calibrate)
        if self.encoder is None and any(each is not None for each in judged):
            raise ValueError("filters need an encoder that judges: encoder")


@dataclass(frozen=True, kw_only=True)
class BuildConfig(Common):
    """What triplets are made from"""

    source: Annotated[
        Path,
        "captions: a text file, or a table (JSONL, CSV, parquet; also .gz); folder: photos with "
        "labels or captions; generate: text-triplets.jsonl; import: a table, or a .tar of shards.",
        ARGUMENT,
    ]
    from_: Annotated[
        Literal["captions", "folder", "generate", "import"],
        "Text triplets by swapped words; mined from photos; drawn by a pipeline; another's set.",
    ]
    out: Annotated[Path, "Folder for the triplets, report.json and examples.html."]

    # captions
    column: Annotated[
        tuple[str, ...], "Column with captions, repeatable: the first that a table has."
    ] = ("caption", "captions", "text")
    keywords: Annotated[
        Path | None, "TOML with more words: group = [words]; a group of ours is replaced."
    ] = None
    groups: Annotated[tuple[str, ...], "Only words of these groups, repeatable."] = ()
    per_caption: Annotated[int, "Words swapped for each caption, at most; each by itself."] = 1
    per_pair: Annotated[int, "Triplets for each pair of words, at most; 0: no limit."] = 1000
    inverse: Annotated[bool, "Also the way back, from target to reference."] = True
    sim_band: Annotated[
        tuple[float, float] | None,
        "Least and largest cosine of the two words by --encoder: no synonyms, nothing absurd.",
    ] = None
    rewrite: Annotated[
        Path | None,
        "Folder of a language model (transformers) that writes instruction and caption instead.",
    ] = None

    # folder
    split: Annotated[str | None, "Only rows whose split equals this.", ("train", "test")] = None
    change: Annotated[tuple[str, ...], "Attributes that may change, repeatable; default: all."] = ()
    same: Annotated[
        tuple[str, ...], "Attributes that must stay, repeatable; default: all others."
    ] = ()
    max_diff: Annotated[int, "Attributes that change at once, at most 2."] = 1
    by: Annotated[
        Literal["auto", "attributes", "captions", "zero-shot"],
        "Pairs by columns, by captions, or by what --encoder sees; auto: as the folder has it.",
    ] = "auto"
    apart: Annotated[
        tuple[str, ...], "Columns whose equal values make a pair trivial: product, burst."
    ] = ()
    per_reference: Annotated[
        int, "Triplets for each photo and attribute, at most; 0: no limit."
    ] = 20
    targets: Annotated[
        int, "Right photos of a triplet, at most; the nearest by --encoder, else drawn."
    ] = 50
    neighbours: Annotated[
        int, "Right photos must be among so many nearest of the reference; 0: anywhere."
    ] = 0
    margin: Annotated[float, "zero-shot: by how much the best word must lead."] = 0.02

    # generate
    pipeline: Annotated[Path | None, "Folder of a diffusers pipeline."] = None
    way: Annotated[
        Literal["img2img", "shared-noise", "instruct"],
        "Redraw the first picture; draw both from one noise; edit the row's own photo.",
    ] = "img2img"
    samples: Annotated[int, "Pairs of pictures drawn for each text triplet."] = 8
    keep: Annotated[int, "Of these, so many best by direction are kept, at most."] = 4
    steps: Annotated[int, "Denoising steps."] = 25
    size: Annotated[int, "Side of the pictures; 0: the pipeline's own."] = 0
    strength: Annotated[float, "img2img: how much is redrawn, 0 to 1."] = 0.65
    guidance_text: Annotated[float, "How closely words are followed."] = 7.5
    guidance_image: Annotated[float, "instruct: how closely the photo is."] = 1.5
    dry_run: Annotated[bool, "Coloured noise in place of a pipeline, to try the rest."] = False
    filter: Annotated[bool, "generate: keep only pairs that pass the filters."] = True

    # import
    columns: Annotated[
        str,
        "import: which columns hold what, as reference=a,target=b,text=c; also reference_caption, "
        "target_caption, split, id.",
    ] = ""
    root: Annotated[Path | None, "import: folder that names of photos are relative to."] = None

    def __post_init__(self) -> None:
        """Raises ValueError for options that do not go together."""
        super().__post_init__()
        if self.from_ == "generate" and (self.val or self.test):
            raise ValueError("val and test belong to the text triplets, which keep their split")
        if self.max_diff not in (1, 2):
            raise ValueError(f"max_diff is {self.max_diff}, but must be 1 or 2")
        if both := {*self.change} & {*self.same}:
            raise ValueError(f"{', '.join(sorted(both))} cannot both change and stay the same")
        for name in ("per_caption", "targets", "samples", "keep", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if min(self.per_pair, self.per_reference, self.neighbours, self.size) < 0:
            raise ValueError("per_pair, per_reference, neighbours and size must be 0 or more")
        needs = self.neighbours or self.by == "zero-shot" or self.sim_band is not None
        if self.encoder is None and needs:
            raise ValueError("neighbours, zero-shot and sim_band need an encoder")
        if self.sim_band is not None and not self.sim_band[0] < self.sim_band[1]:
            raise ValueError("sim_band is the least and then the largest cosine")
