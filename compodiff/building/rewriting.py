"""Text triplets by a language model: it reads a caption and writes a change and the new caption.

SynthTriplets18M fine-tunes OPT on the human-written changes of instruct-pix2pix; here any model
that transformers has, from a folder, is shown three examples. What it writes that has not the form
of the examples is left out and counted.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from compodiff.build_config import BuildConfig
from compodiff.building import drawing
from compodiff.building.captions import TextTriplet, problem_with
from compodiff.building.journal import Journal
from compodiff.building.phrasings import Edit
from vretr.errors import UsageError, VretrError
from vretr.paths import display

EXAMPLES = """\
Caption: a brown dog runs along the beach
Change: make it a cat
Result: a brown cat runs along the beach

Caption: two women drink coffee in a kitchen
Change: add a vase of flowers
Result: two women drink coffee in a kitchen with a vase of flowers

Caption: a red car parked in front of a house
Change: as a winter scene
Result: a red car parked in front of a house in the snow

"""
BATCH = 16  # captions at a time
TOKENS = 96  # that are written, at most
TEMPERATURE = 0.7
JOURNAL = "rewritten.jsonl"
_WRITTEN = re.compile(r"\s*(?:Change:)?[ \t]*(\S[^\n]*)\n\s*Result:[ \t]*(\S[^\n]*)")


class Author(Protocol):
    """Goes on with prompts; equal seeds, equal texts."""

    def write(self, prompts: Sequence[str], seed: int) -> list[str]:
        """What follows each prompt."""


def rewritten(
    captions: Iterator[str],
    config: BuildConfig,
    rejected: Counter[str],
    author: Author | None = None,
) -> Iterator[TextTriplet]:
    """Captions, changes and new captions; goes on where an earlier run with this --out ended.

    Raises:
        UsageError: transformers is not installed, or the folder is none.
        VretrError: the model cannot be loaded.
    """
    about = {"model": str((config.rewrite or Path()).resolve()), "seed": config.seed}
    with Journal(config.out / JOURNAL, about) as journal:
        while batch := list(islice(captions, BATCH)):
            new = [text for text in dict.fromkeys(batch) if text not in journal.done]
            if new:
                author = author or Model(config)
                prompts = [f"{EXAMPLES}Caption: {text}\nChange:" for text in new]
                written = author.write(prompts, drawing.number(config.seed, *new) % 2**31)
                for caption, text in zip(new, written, strict=True):
                    journal.add(caption, {"written": text})
            for caption in dict.fromkeys(batch):
                found = parsed(caption, journal.done[caption]["written"])
                if isinstance(found, str):
                    rejected[found] += 1
                else:
                    yield found


def parsed(caption: str, written: str) -> TextTriplet | str:
    """The triplet in what a model has written, or why there is none."""
    match = _WRITTEN.match(written)
    if match is None:
        return "model: no change and result"
    text, target = (" ".join(part.split()).rstrip(".") for part in match.groups())
    if _plain(target) == _plain(caption):
        return "model: nothing changes"
    if problem_with(target) or not text:
        return "model: no caption"
    return TextTriplet(caption, target, Edit("written", "", caption, target), caption.lower(), text)


def _plain(text: str) -> str:
    return text.lower().rstrip(" .!?")


class Model:
    """A causal language model of transformers."""

    def __init__(self, config: BuildConfig) -> None:
        folder = config.rewrite
        if folder is None or not folder.is_dir():
            raise UsageError(f"There is no folder {display(folder or '')} with a language model.")
        try:
            import torch
            import transformers
        except ImportError as problem:
            raise UsageError(
                "--rewrite needs transformers, which is not installed: pip install transformers."
            ) from problem
        from vretr.encoders.precision import pick_device

        self.device = pick_device() if config.device == "auto" else torch.device(config.device)
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, padding_side="left"
            )
            self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError) as problem:
            reason = str(problem).strip().splitlines()[0].rstrip(".")
            raise VretrError(f"{display(folder)} cannot be loaded: {reason}.") from problem
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model.eval().to(self.device)

    def write(self, prompts: Sequence[str], seed: int) -> list[str]:
        """See `Author.write`."""
        import torch

        tokens = self.tokenizer(list(prompts), return_tensors="pt", padding=True).to(self.device)
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(seed)
            found = self.model.generate(
                **tokens,
                max_new_tokens=TOKENS,
                do_sample=True,
                temperature=TEMPERATURE,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        length = tokens["input_ids"].shape[1]
        return list(self.tokenizer.batch_decode(found[:, length:], skip_special_tokens=True))
