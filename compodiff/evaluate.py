"""CompoDiff on the benchmarks of composed retrieval, with the paper's figures beside ours."""

from dataclasses import replace

from compodiff import files
from compodiff.config import EvalConfig
from compodiff.published import rows
from vretr.composers import Composer, load_composer
from vretr.encoders import Encoder
from vretr.errors import UsageError
from vretr.evaluation.cir import measure
from vretr.methods import Report
from vretr.paths import display


def evaluate(config: EvalConfig) -> Report:
    """Measures CompoDiff, or with the same code a composer to compare it with.

    Raises:
        UsageError: there is no CompoDiff at hand for the encoder.
        MismatchError: it is for another encoder; the data are missing or malformed.
    """
    if config.encoder == "auto":
        name = "lite" if config.run is None else files.backbone_of(config.run)
        config = replace(config, encoder=name)

    def composer(encoder: Encoder) -> Composer:
        if config.composer != "compodiff":
            return load_composer(config.composer, encoder, picture_weight=config.picture_weight)
        found = files.composer(
            encoder,
            config.run,
            picture_weight=config.picture_weight,
            options=config.options,
            device=config.device,
        )
        if found is None:
            raise UsageError(
                f"There is no CompoDiff at hand for {encoder.name}: train one with `vretr train "
                f"compodiff --backbone {encoder.name}` and give it as --run."
            )
        return found

    settings = {} if config.run is None else {"run": display(config.run)}
    return measure(config, composer, published=rows(config.kind, config.encoder), settings=settings)
