"""What chooses the best step: the loss on held-out sentences, or recall on a file of triplets."""

from dataclasses import dataclass
from pathlib import Path

from lincir.composer import LinCIR
from lincir.config import TrainConfig
from lincir.data import Rows, Sentences
from lincir.layouts import from_mlp
from lincir.model import Phi
from lincir.stepping import step
from lincir.tokens import alone
from vretr.data import triplets
from vretr.data.cir.benchmark import Benchmark
from vretr.data.features import Vectors, image_features
from vretr.encoders import PseudoTextEncoder, load_encoder
from vretr.encoders.names import Precision
from vretr.evaluation.scoring import compose, score
from vretr.paths import display, home
from vretr.training import seed_all

DRAWS = 3  # keeps the draws of validation apart from those of the data and of the step


@dataclass(frozen=True)
class HeldOut:
    """The loss on sentences that are not trained on, always with the same noise."""

    encoder: PseudoTextEncoder
    scale: float
    sentences: Sentences
    rows: Rows
    config: TrainConfig

    def __call__(self, phi: Phi) -> dict[str, float]:
        """`{"loss"}`; nothing where no sentence was held out."""
        seed_all(self.config.seed, DRAWS)
        one, total = step(self.encoder, self.scale), 0.0
        for start in range(0, len(self.rows), self.config.batch_size):
            rows = self.rows[start : start + self.config.batch_size]
            total += float(one(phi, self.sentences.batch(rows))["loss"]) * len(rows)
        return {"loss": total / len(self.rows)} if len(self.rows) else {}


@dataclass(frozen=True)
class Pictures:
    """Triplets and the vectors of their pictures, as they are searched and as φ reads them."""

    benchmark: Benchmark
    vectors: Vectors
    references: Vectors

    @classmethod
    def of(cls, file: Path, backbone: str, *, device: str, precision: Precision) -> "Pictures":
        """Looks at the pictures with an encoder of its own, which is gone afterwards.

        Raises:
            MismatchError: the triplets are malformed, or pictures are missing or unreadable.
        """
        benchmark = triplets.benchmark(triplets.load(file), display(file))
        encoder = load_encoder(backbone, device=device, precision=precision)
        asked = [benchmark.pictures[query.reference] for query in benchmark.queries]
        how = f"{device} {precision}"
        (home() / "lincir").mkdir(parents=True, exist_ok=True)
        with alone(home() / "lincir" / "pictures.lock"):
            vectors = image_features(encoder, benchmark.pictures, variant=how)
            distinct = list(dict.fromkeys(asked))
            raw = image_features(encoder, distinct, variant=how, raw=True)
        place = {picture: number for number, picture in enumerate(distinct)}
        return cls(benchmark, vectors, raw[[place[picture] for picture in asked]])


@dataclass(frozen=True)
class OnTriplets:
    """Recall and mAP of φ as a composer, and the loss on held-out sentences as well."""

    pictures: Pictures
    held_out: HeldOut

    def __call__(self, phi: Phi) -> dict[str, float]:
        """The figures of `vretr eval cir --dataset triplets:FILE`, and `loss`."""
        benchmark = self.pictures.benchmark
        tensors = {name: value.float().cpu().numpy() for name, value in phi.state_dict().items()}
        composer = LinCIR(self.held_out.encoder, from_mlp(tensors))
        queries = compose(composer, benchmark.queries, self.pictures.references)
        ranks = score(benchmark, queries, self.pictures.vectors)
        return {**benchmark.figures(ranks, benchmark.queries), **self.held_out(phi)}
