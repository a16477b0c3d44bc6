"""The training loop. A method writes one `step` and one `validate`; the rest is here."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, send_to_device
from torch import Tensor, nn

from vretr.errors import VretrError
from vretr.progress import progress as shown_progress
from vretr.training import checkpoints
from vretr.training.checkpoints import Progress
from vretr.training.config import TrainConfig
from vretr.training.devices import accelerator_for
from vretr.training.interrupts import Interrupts
from vretr.training.run import Run
from vretr.training.schedules import lr_factor
from vretr.training.stream import STEP, Collate, Share, Shuffled, Streamed, batches, seed_all

log = logging.getLogger(__name__)

Step = Callable[[Any, Any], Mapping[str, Tensor]]  # (model, batch) -> named scalars with "loss"
Validate = Callable[[Any], Mapping[str, float]]  # (model) -> named figures
Groups = Callable[[Any], Iterable[dict[str, Any]]]  # (model) -> AdamW's parameter groups


@dataclass(frozen=True)
class Result:
    """What a training came to."""

    step: int  # whose weights the model now holds
    steps: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)  # validation at `step`


def fit(
    model: nn.Module,
    step: Step,
    data: Any,
    run: Run,
    config: TrainConfig,
    *,
    validate: Validate | None = None,
    select: str = "loss",
    groups: Groups | None = None,
    collate: Collate | None = None,
) -> Result:
    """Trains `model` and leaves in it the weights to keep: the best validated, else the last.

    With `config.ema` those are the averaged ones, and they are what is validated. The same config
    gives the same numbers straight through, resumed, and with any number of workers; so `step` and
    the data may draw from the global generators (`random`, NumPy, torch) but keep none of their
    own. On several processes (`torchrun`, `accelerate launch`) each sees its part of every batch,
    gradients are averaged, and the first one validates and writes; a loss over pairs needs
    `gathered`.

    Args:
        step: (model, batch) -> named scalar tensors; "loss" is minimised, all are recorded.
        data: a map-style data set, shuffled anew each epoch, or an IterableDataset, which is read
            in its order and must repeat it (`stream.Streamed`).
        validate: (model in eval mode, without gradients) -> figures, every `validate_every` steps.
        select: the figure of `validate` that decides; higher is better, except for "loss".
        groups: (model) -> AdamW's parameter groups; a group may set its own lr and weight_decay.
        collate: list of samples -> batch; torch's default_collate if None.

    Raises:
        VretrError: a loss or gradient is not finite; checkpoints are kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the step was finished and saved.
    """
    with _torch_threads(config.threads), Interrupts() as interrupts:
        training = _Training(model, step, run, config, groups)
        progress, share = training.progress, training.share
        first = progress.step + 1
        loader, source = batches(
            data, share, first=first, last=config.steps, workers=config.workers, collate=collate
        )
        with (
            run.recording(progress.step, write=training.main) as record,
            shown_progress(
                config.steps, "Training", done=progress.step, shown=training.main
            ) as bar,
        ):
            started = time.monotonic() - progress.seconds
            for number, batch in zip(range(first, config.steps + 1), loader, strict=False):
                row, stop = training.advance(number, batch, source, interrupts.asked)
                if validate and (number % config.validate_every == 0 or number == config.steps):
                    row["validation"] = training.validated(validate, select)
                progress.seconds = time.monotonic() - started
                record({**row, "seconds": round(progress.seconds, 3)})
                bar.update(number, note=_losses(row))
                stop |= interrupts.asked and share.processes == 1  # others must agree first
                if stop or number % config.save_every == 0 or number == config.steps:
                    training.save()
                if stop and number < config.steps:
                    log.warning(
                        "Stopped after step %d and saved; --out %s --resume goes on",
                        number,
                        run.folder,
                    )
                    raise KeyboardInterrupt
        return training.kept()


class _Training:
    """The parts of a training while it runs: model, its average, optimiser and progress."""

    def __init__(
        self, model: nn.Module, step: Step, run: Run, config: TrainConfig, groups: Groups | None
    ) -> None:
        self.model, self.run, self.config = model, run, config
        self.accelerator = accelerator_for(config)
        self.main = self.accelerator.is_main_process
        self.share = Share(
            config.seed,
            config.batch_size,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        optimizer = _adamw(model, config, groups)
        self.stepper, self.optimizer = self.accelerator.prepare(_Stepper(model, step), optimizer)
        self.ema = _moving_average(model, config.ema) if config.ema else None
        self.averaged = self.ema.module if self.ema else None
        self.progress = self._resumed() if config.resume and run.latest.exists() else Progress()
        model.train()

    def _resumed(self) -> Progress:
        progress = checkpoints.load_state(
            self.run.latest, self.model, self.averaged, self.optimizer
        )
        if self.accelerator.scaler and progress.scaler:
            self.accelerator.scaler.load_state_dict(progress.scaler)
        return progress

    def advance(
        self, number: int, batch: Any, source: Shuffled | Streamed, stop: bool
    ) -> tuple[dict[str, Any], bool]:
        """One optimiser step; its record, and whether any process was asked to stop."""
        batch = send_to_device(batch, self.accelerator.device, non_blocking=True)
        seed_all(self.config.seed, STEP, number, self.share.process)
        lr = _set_lr(self.optimizer, number, self.config)
        losses = self.stepper(batch)
        values, stop = self._agreed(losses, stop)
        for name, value in values.items():
            if not math.isfinite(value):
                raise self._failure(number, f"the loss {name!r} is {value}", source)
        self.accelerator.backward(losses["loss"])
        clip = self.config.clip or math.inf
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), clip))
        if not math.isfinite(norm) and not self._can_rescale():
            raise self._failure(number, _bad_gradient(self.model, norm), source)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update(self.model, number)
        self.progress.step = number
        known = norm if math.isfinite(norm) else None  # JSON knows no infinity
        return {"step": number, **values, "lr": lr, "grad_norm": known}, stop

    def _agreed(self, losses: Mapping[str, Tensor], stop: bool) -> tuple[dict[str, float], bool]:
        """Losses averaged over all processes, and whether any of them wants to stop."""
        if "loss" not in losses:
            raise VretrError(f"step() gave no 'loss', only {sorted(losses)}")
        flag = torch.tensor(float(stop), device=self.accelerator.device)
        all_values = torch.stack([*(value.detach().float() for value in losses.values()), flag])
        *values, stops = self.accelerator.reduce(all_values, "mean").tolist()
        return dict(zip(losses, values, strict=True)), stops > 0

    def _can_rescale(self) -> bool:
        """Whether fp16's loss scaling will skip this step and try a smaller scale."""
        scaler = self.accelerator.scaler
        return scaler is not None and scaler.get_scale() > 1

    def _failure(self, number: int, what: str, source: Shuffled | Streamed) -> VretrError:
        samples = ""
        if isinstance(source, Shuffled):
            first = source.samples(number)[:8]
            samples = f" (its batch starts with the samples {', '.join(map(str, first))})"
        kept = self.run.latest if self.run.latest.exists() else "none yet"
        return VretrError(
            f"Training stopped at step {number}: {what}{samples}. Last good checkpoint: {kept}. "
            "A lower --lr, a longer --warmup or --precision fp32 may help."
        )

    def validated(self, validate: Validate, select: str) -> dict[str, float]:
        """The figures of `validate`; where they are the best so far, the weights are kept."""
        weights = self.model if self.averaged is None else self.averaged
        figures: list[Any] = [None]
        if self.main:
            weights.eval()
            with torch.no_grad():
                figures = [{name: float(value) for name, value in validate(weights).items()}]
            self.model.train()
        broadcast_object_list(figures)
        if _better(figures[0], self.progress.best, select):
            self.progress.best_step, self.progress.best = self.progress.step, figures[0]
            if self.main:
                about = {"step": self.progress.step, "metrics": figures[0]}
                checkpoints.write(self.run.best, weights.state_dict(), about)
        return figures[0]

    def save(self) -> None:
        """Replaces the latest checkpoint."""
        if self.main:
            scaler = self.accelerator.scaler
            self.progress.scaler = scaler.state_dict() if scaler else None
            checkpoints.save_state(
                self.run.latest, self.progress, self.model, self.averaged, self.optimizer
            )

    def kept(self) -> Result:
        """Puts the weights to keep into the model."""
        self.accelerator.wait_for_everyone()
        progress = self.progress
        if progress.best_step is not None:
            weights, _ = checkpoints.read(self.run.best)
            self.model.load_state_dict(weights)
        elif self.averaged is not None:
            self.model.load_state_dict(self.averaged.state_dict())
        self.model.eval()
        return Result(
            step=progress.best_step or progress.step,
            steps=progress.step,
            seconds=progress.seconds,
            metrics=progress.best,
        )


class _Stepper(nn.Module):
    """The method's step as a module, so that autocast and averaged gradients cover all of it."""

    def __init__(self, model: nn.Module, step: Step) -> None:
        super().__init__()
        self.model, self.step = model, step

    def forward(self, batch: Any) -> Mapping[str, Tensor]:
        return self.step(self.model, batch)


def _adamw(model: nn.Module, config: TrainConfig, groups: Groups | None) -> torch.optim.AdamW:
    trained = list(groups(model)) if groups else [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _set_lr(optimizer: Any, number: int, config: TrainConfig) -> float:
    """Sets every group's learning rate for step `number`; returns that of `config.lr`."""
    factor = lr_factor(number, steps=config.steps, warmup=config.warmup, schedule=config.schedule)
    for group in optimizer.param_groups:
        group["lr"] = factor * group["initial_lr"]
    return factor * config.lr


def _moving_average(model: nn.Module, decay: float) -> Any:
    """timm's average, whose decay grows from 0 to `decay`: short trainings forget their start."""
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(model, decay=decay, use_warmup=True)


def _bad_gradient(model: nn.Module, norm: float) -> str:
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of {name!r} is not finite"
    return f"the norm of the gradient is {norm}"


def _losses(row: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in row.items() if type(value) is float)


def _better(figures: Mapping[str, float], best: Mapping[str, float], select: str) -> bool:
    if select not in figures:
        raise VretrError(f"validate() gave no {select!r}, only {sorted(figures)}")
    for name, value in figures.items():
        if not math.isfinite(value):
            raise VretrError(f"validate() gave {value} for {name!r}")
    if not best:
        return True
    new, old = figures[select], best[select]
    return new < old if select == "loss" else new > old


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
