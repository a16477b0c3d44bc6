"""Where the hub has what a name needs, and under which licence."""

from vretr.encoders import catalogue
from vretr.encoders.files import Source
from vretr.encoders.names import RANDOM, SHORT_NAMES, Spec
from vretr.errors import UsageError, VretrError

CONFIG = "open_clip_config.json"
_OPEN_CLIP = "open_clip_pytorch_model.bin"  # as the libraries name their files in a repository;
_TIMM = "pytorch_model.bin"  # the safetensors twins are preferred
UNKNOWN_LICENCE = "see its model card"


def sources(spec: Spec) -> list[Source]:
    """What is fetched for a name, the weights last; empty where nothing is.

    Raises:
        UsageError: timm has no such model.
        VretrError: timm has no published weights for it.
    """
    if spec.path or spec.tag == RANDOM:
        return []
    if spec.kind == "hf-hub":
        return [Source(spec.model, (CONFIG,)), Source.of_weights(spec.model, _OPEN_CLIP)]
    if spec.kind == "open_clip":
        place = catalogue.weights()[spec.model][spec.tag]["hf_hub"]  # ORG/NAME/ or ORG/NAME/FILE
        repository, _, file = place.rpartition("/")
        return [Source.of_weights(repository, file or _OPEN_CLIP)]
    return [_of_timm(spec.model)] if spec.kind == "timm" else []


def _of_timm(model: str) -> Source:
    if catalogue.card(f"timm:{model}"):  # listed without importing timm, which takes five seconds
        return Source.of_weights(f"timm/{model}", _TIMM)
    import timm

    if not timm.is_model(model):
        raise UsageError(f"timm has no model {model!r}.")
    config = timm.get_pretrained_cfg(model)
    if not config.hf_hub_id:
        raise VretrError(
            f"timm has no published weights for {model}: write timm:{model}@path/to/weights "
            f"or timm:{model}/{RANDOM}."
        )
    return Source.of_weights(config.hf_hub_id, config.hf_hub_filename or _TIMM)


def licence(spec: Spec) -> str:
    """Licence of the weights, where we or timm know it."""
    long = f"{spec.model}/{spec.tag}"
    short = next((short for short, name in SHORT_NAMES.items() if name == long), "")
    for name in (spec.name, short):
        if card := catalogue.card(name):
            return card.licence if card.commercial else f"{card.licence}, non-commercial"
    if spec.kind == "timm":
        import timm

        return timm.get_pretrained_cfg(spec.model).license or UNKNOWN_LICENCE
    return UNKNOWN_LICENCE
