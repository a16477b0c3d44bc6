"""Captions and instructions. A language is one table: words and templates, no code.

To add a language, add a `Language` to `LANGUAGES`; the tests check that its captions tell
everything and that no two values share a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vretr.data.worlds.scenes import Edit, Group, Scene
from vretr.errors import UsageError
from vretr.methods import near


@dataclass(frozen=True)
class Language:
    """Words and templates of one language.

    `words` gives for each value of the vocabulary its synonyms; a noun may be "singular|plural".
    The i-th phrasing takes the i-th template of each kind (they repeat when there are fewer) and
    the i-th synonym. `scene` holds how many phrasings there are.
    """

    words: Mapping[str, tuple[str, ...]]
    group: tuple[str, ...]  # {count} {size} {colour} {shape} {place}
    join: tuple[str, ...]  # what stands between two groups
    scene: tuple[str, ...]  # {groups} {background}
    edit: Mapping[str, tuple[str, ...]]  # attribute -> templates with {it} and {value}
    name: str  # a group by colour and shape, for an edit: {colour} {shape}
    it: tuple[str, str]  # what names the only group: one thing, several things

    @property
    def phrasings(self) -> int:
        """How many captions a scene has."""
        return len(self.scene)


ENGLISH = Language(
    words={
        **{word: (word,) for word in ("red", "green", "blue", "yellow", "orange", "purple")},
        **{word: (word,) for word in ("brown", "pink", "white", "black", "two", "three")},
        "grey": ("grey", "gray"),
        "small": ("small", "little"),
        "large": ("large", "big"),
        "one": ("a", "one"),
        "circle": ("circle|circles", "disc|discs"),
        "square": ("square|squares",),
        "triangle": ("triangle|triangles",),
        "star": ("star|stars",),
        "cross": ("cross|crosses", "plus|pluses"),
        "ring": ("ring|rings",),
        "left": ("on the left",),
        "right": ("on the right",),
        "top": ("at the top",),
        "bottom": ("at the bottom",),
        "middle": ("in the middle",),
    },
    group=(
        "{count} {size} {colour} {shape} {place}",
        "{count} {size} {colour} {shape} {place}",
        "{place} {count} {size} {colour} {shape}",
    ),
    join=(" and ", " and ", ", "),
    scene=(
        "{groups}, {background} background",
        "{background} background with {groups}",
        "against {background}, {groups}",
    ),
    edit={
        "shape": ("make {it} {value}-shaped", "with {it} {value}-shaped instead"),
        "colour": ("make {it} {value}", "with {it} in {value}"),
        "size": ("make {it} {value}", "with {it} {value} instead"),
        "count": ("but {value} of {it}", "{value} of {it} instead"),
        "place": ("put {it} {value}", "the same {value}", "but {value}"),
        "background": ("on a {value} background", "but against {value}"),
    },
    name="the {colour} {shape}",
    it=("it", "them"),
)

KOREAN = Language(
    words={
        "red": ("빨간", "붉은"),
        "green": ("초록",),
        "blue": ("파란", "푸른"),
        "yellow": ("노란",),
        "orange": ("주황",),
        "purple": ("보라",),
        "brown": ("갈색",),
        "pink": ("분홍",),
        "white": ("하얀", "흰"),
        "grey": ("회색", "잿빛"),
        "black": ("까만", "검은"),
        "small": ("작은",),
        "large": ("큰", "커다란"),
        "one": ("한",),
        "two": ("두",),
        "three": ("세",),
        "circle": ("동그라미", "원"),
        "square": ("네모", "사각형"),
        "triangle": ("세모", "삼각형"),
        "star": ("별",),
        "cross": ("십자", "더하기"),
        "ring": ("고리",),
        "left": ("왼쪽", "좌측"),
        "right": ("오른쪽", "우측"),
        "top": ("위쪽", "상단"),
        "bottom": ("아래쪽", "하단"),
        "middle": ("가운데", "중앙"),
    },
    group=("{place}에 {size} {colour} {shape} {count} 개",),
    join=(", ", " 그리고 ", ", "),
    scene=(
        "{background} 배경, {groups}",
        "{background} 배경에 {groups}가 있는 그림",
        "{groups}, 배경은 {background} 바탕",
    ),
    # Particles that do not change with the word before them, so that a template needs no grammar.
    edit={
        "shape": ("{it} {value} 모양으로",),
        "colour": ("{it} {value} 빛으로", "{it} {value} 빛깔로 바꿔 줘"),
        "size": ("{it} {value} 것으로",),
        "count": ("{it} {value} 개로",),
        "place": ("{it} {value}에 오게",),
        "background": ("{value} 배경으로", "{value} 바탕으로 바꿔 줘"),
    },
    name="{colour} {shape}만",
    it=("그것만", "그것들만"),
)

LANGUAGES = {"en": ENGLISH, "ko": KOREAN}


def caption(scene: Scene, language: str = "en", *, phrasing: int = 0) -> str:
    """A sentence that tells all of the scene but its pose.

    Raises:
        UsageError: the language is not known.
    """
    tongue = find_language(language)
    groups = at(tongue.join, phrasing).join(
        _describe(group, tongue, phrasing) for group in scene.groups
    )
    background = at(tongue.words[scene.background], phrasing)
    return at(tongue.scene, phrasing).format(groups=groups, background=background)


def instruction(scene: Scene, edit: Edit, language: str = "en", *, phrasing: int = 0) -> str:
    """The words that turn `scene` into `edit.target`."""
    tongue = find_language(language)
    synonyms = tongue.words[edit.value]
    value = at(synonyms, phrasing)
    it = ""
    if edit.attribute == "count":
        value = synonyms[-1]  # "one of them", not "a of them"
    if edit.group is not None:
        group = scene.groups[edit.group]
        several = edit.attribute == "count" or group.number > 1  # "two of them", even of one
        it = (
            _name(group, tongue, phrasing, several) if len(scene.groups) > 1 else tongue.it[several]
        )
    return at(tongue.edit[edit.attribute], phrasing).format(it=it, value=_form(value, False))


def find_language(name: str) -> Language:
    """The language of that code; UsageError names the known ones."""
    if name not in LANGUAGES:
        raise UsageError(f"Worlds do not speak {name!r}; {near(name, LANGUAGES)}")
    return LANGUAGES[name]


def at(choices: tuple[str, ...], phrasing: int) -> str:
    """The choice of that phrasing; they repeat."""
    return choices[phrasing % len(choices)]


def _describe(group: Group, tongue: Language, phrasing: int) -> str:
    words = {name: at(tongue.words[getattr(group, name)], phrasing) for name in Group.__slots__}
    words["shape"] = _form(words["shape"], group.number > 1)
    return at(tongue.group, phrasing).format_map(words)


def _name(group: Group, tongue: Language, phrasing: int, several: bool) -> str:
    colour, shape = (at(tongue.words[word], phrasing) for word in (group.colour, group.shape))
    return tongue.name.format(colour=colour, shape=_form(shape, several))


def _form(noun: str, several: bool) -> str:
    singular, _, plural = noun.partition("|")
    return (plural or singular) if several else singular
