"""Evaluations that any encoder and any composer can be put to.

`retrieval`: photos by caption, captions by photo, photos by class. `cir`: composed retrieval, a
picture and words together.
"""

from types import MappingProxyType

from vretr.methods import Method, Verb

RETRIEVAL = Method(
    name="retrieval",
    summary="Recall of photos by caption or class name, and back, for an encoder.",
    evaluate=Verb("vretr.evaluation.retrieval:evaluate", "vretr.evaluation.config:RetrievalConfig"),
)

CIR = Method(
    name="cir",
    summary="Composed retrieval: recall of photos by a picture and words, for a composer.",
    evaluate=Verb("vretr.evaluation.cir:evaluate", "vretr.evaluation.config:CirConfig"),
    commands=MappingProxyType(
        {
            "attribute-triplets": Verb(
                "vretr.data.attribute_triplets:derive",
                "vretr.data.attribute_triplets:AttributeTripletsConfig",
                summary="Derive composed queries from labelled photos: the same, another colour.",
            )
        }
    ),
)
