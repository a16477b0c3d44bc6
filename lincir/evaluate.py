"""LinCIR on the benchmarks of composed retrieval, with the paper's figures beside ours."""

from dataclasses import replace

from lincir import files
from lincir.config import EvalConfig
from lincir.published import rows
from vretr.composers import Composer, load_composer
from vretr.encoders import Encoder
from vretr.errors import UsageError
from vretr.evaluation.cir import measure
from vretr.methods import Report


def evaluate(config: EvalConfig) -> Report:
    """Measures LinCIR, or with the same code a composer to compare it with.

    Raises:
        UsageError: there is no φ at hand for the encoder.
        MismatchError: the φ is for another encoder; the data are missing or malformed.
    """
    if config.encoder == "auto":
        name = "lite" if config.phi is None else files.backbone_of(config.phi)
        config = replace(config, encoder=name)

    def composer(encoder: Encoder) -> Composer:
        if config.composer != "lincir":
            return load_composer(config.composer, encoder, picture_weight=config.picture_weight)
        found = files.composer(
            encoder,
            config.phi,
            picture_weight=config.picture_weight,
            words_weight=config.words_weight,
            prompt=config.prompt,
        )
        if found is None:
            raise UsageError(
                f"There is no φ at hand for {encoder.name}: train one with `vretr train lincir "
                f"--backbone {encoder.name}` and give it as --phi."
            )
        return found

    settings = {} if config.phi is None else {"phi": files.digest(config.phi)}
    return measure(config, composer, published=rows(config.kind, config.encoder), settings=settings)
