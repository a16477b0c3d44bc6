"""Pooling: from an image's patch tokens to one vector; grouped generalised mean (GGeM) and others.

Ko, Kim, Gu et al. 2022, *Group Generalized Mean Pooling for Vision Transformer*, arXiv:2212.04114.
"""

from vretr.methods import Method, Verb

METHOD = Method(
    name="pooling",
    summary="Poolings for any ViT or CNN compared: average, max, GeM, GGeM, class token.",
    train=Verb("pooling.train:train", "pooling.config:TrainConfig"),
    evaluate=Verb("pooling.evaluate:evaluate", "pooling.config:EvalConfig"),
    load="pooling.encoder:load",
)
