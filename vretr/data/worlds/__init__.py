"""Worlds: small rendered data sets in which the truth is known, for tests and demonstrations.

A `World` draws scenes of coloured shapes, each with captions in several languages, edits for
composed retrieval and classes that can be held out. A `Wireframe` is a picture of boxes, facades
and polygons with the exact place of every line, for line detectors.

Everything follows from the seed by integer arithmetic and streams that Python and NumPy promise to
keep, so a scene has the same pixels on every machine; any scene is made without those before it.

    world = World(seed=0, held_out=["star", "red circle"])
    scene = world.scene(7)                      # never a star, never a red circle
    scene = world.scene(7, split="unseen")      # at least one of them
    picture, words = world.render(scene), caption(scene, "ko")
"""

from vretr.data.worlds.language import LANGUAGES, Language, caption
from vretr.data.worlds.scenes import BACKGROUNDS, VOCABULARY, Edit, Group, Scene
from vretr.data.worlds.wireframes import Wireframe, wireframe
from vretr.data.worlds.world import SPLITS, Triplet, World

__all__ = [
    "BACKGROUNDS",
    "LANGUAGES",
    "SPLITS",
    "VOCABULARY",
    "Edit",
    "Group",
    "Language",
    "Scene",
    "Triplet",
    "Wireframe",
    "World",
    "caption",
    "wireframe",
]
