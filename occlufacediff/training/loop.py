"""The training loop of both networks: resumable to the bit on one machine, with a live loss and a history."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Never

import torch
from torch import nn
from tqdm import tqdm

from occlufacediff.config.loop import LoopSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.files import written_aside
from occlufacediff.training.optimisation import ExponentialMovingAverage, learning_rate, make_optimizer, step_seed
from occlufacediff.training.state import Course, Progress, Row, State, load_state, save_state, state_path
from occlufacediff.training.task import Losses, Task

#: Columns of history.csv that depend on the machine's speed and not on the training.
CLOCK_COLUMNS = ("seconds", "windows_per_s")


@dataclass(frozen=True)
class TrainingRecord:
    """What a finished training reports.

    Attributes:
        rows: rows of history.csv.
        schedule: see `Progress.schedule`.
    """

    rows: list[Row]
    schedule: list[dict[str, int]]


def autocast(settings: LoopSettings, device: torch.device) -> torch.autocast:
    """Context in which the networks run: bf16 products, or plain float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16")


def write_history(path: Path, rows: list[Row]) -> None:
    """Write history.csv: one row for each validation, columns in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: f"{value:.6g}" for key, value in row.items()} for row in rows])
    with written_aside(path) as aside:
        aside.write_text(text.getvalue())


def steps_of(settings: LoopSettings, epoch_size: int) -> int:
    """Optimizer steps of a training whose epoch has ``epoch_size`` micro-batches; an incomplete last step is left out.

    Raises:
        ConfigError: ``epochs`` are too few for one step.
    """
    if settings.epochs is None:
        return settings.max_steps
    steps = settings.epochs * epoch_size // settings.accumulate
    if steps == 0:
        raise ConfigError(
            f"loop.epochs: {settings.epochs} epochs have {settings.epochs * epoch_size} micro-batches, fewer than "
            f"loop.accumulate ({settings.accumulate}): use more epochs, or smaller accumulate or batch_size"
        )
    return steps


def train(
    task: Task, *, settings: LoopSettings, out_dir: Path, course: Course, seed: int, device: torch.device
) -> TrainingRecord:
    """Train the network of a task; at the end it holds the EMA weights.

    Each micro-batch seeds torch from ``seed`` and its number. A training that was killed and resumed therefore gives
    the same history and weights as an uninterrupted one, on one device with one number of threads. The last state is
    kept in ``out_dir/resume``, so that a finished training can be extended by a larger ``max_steps``.

    Args:
        task: what to train, on ``device``.
        settings: of the loop.
        out_dir: gets history.csv and ``resume/``.
        course: what determines the weights; a state with another course is not resumed.
        seed: of noise and dropout.
        device: where the batches go.

    Raises:
        AssetError: the loss is not finite.
        ConfigError: ``epochs`` are too few for one step.
        StorageError: the disk is full or a folder is not writable; the last saved state is kept.
    """
    model, label = task.model, task.label
    settings = replace(settings, max_steps=steps_of(settings, task.epoch_size))
    accumulate = settings.accumulate
    optimizer = make_optimizer(model, settings)
    ema = ExponentialMovingAverage(model, settings.ema_decay)
    state_file = state_path(out_dir)
    progress = Progress(schedule=[{"from_step": 0, "max_steps": settings.max_steps}])
    state = load_state(state_file, course, settings.max_steps, device)
    if state is not None:
        model.load_state_dict(state.model)
        ema.values = state.ema
        optimizer.load_state_dict(state.optimizer)
        progress = state.progress
        before = progress.schedule[-1]["max_steps"]
        if before != settings.max_steps:
            progress.schedule.append({"from_step": progress.step, "max_steps": settings.max_steps})
        extended = f", extended from {before}" if before != settings.max_steps else ""
        print(
            f"{label}: resumes from step {progress.step} of {settings.max_steps}{extended}", file=sys.stderr, flush=True
        )

    def validated() -> Row:
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        if settings.ema_decay:
            model.load_state_dict(ema.values)
        model.eval()
        torch.manual_seed(seed)
        with torch.no_grad():
            row = {f"validation_{name}": float(value) for name, value in task.validate().items()}
        model.load_state_dict(kept)
        model.train()
        return row

    def out_of_time() -> bool:
        return settings.max_minutes is not None and progress.elapsed > 60 * settings.max_minutes

    begun = time.monotonic() - progress.elapsed
    validated_last = bool(progress.rows) and progress.rows[-1]["step"] == progress.step
    finished = progress.step >= settings.max_steps or (validated_last and out_of_time())
    with _progress_bar(label, progress.step, settings.max_steps) as bar:
        batches = (
            iter(()) if finished else iter(task.batches(progress.step * accumulate, settings.max_steps * accumulate))
        )
        while not finished:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(progress.step, settings)
            optimizer.zero_grad(set_to_none=True)
            terms: Losses = {}
            for micro_batch in range(progress.step * accumulate, (progress.step + 1) * accumulate):
                model.train()
                task.prepare(micro_batch)
                batch = next(batches)
                torch.manual_seed(step_seed(seed, micro_batch))
                found = task.losses({name: value.to(device, non_blocking=True) for name, value in batch.items()})
                (found["loss"] / accumulate).backward()
                for name, value in found.items():
                    part = value.detach() / accumulate
                    terms[name] = terms[name] + part if name in terms else part
            norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or math.inf)
            optimizer.step()
            progress.step += 1
            ema.update(model, progress.step)
            values = {name: float(value) for name, value in terms.items()} | {"gradient_norm": float(norm)}
            if not math.isfinite(values["loss"]) or not math.isfinite(values["gradient_norm"]):
                raise AssetError(
                    f"{label}: the loss is {values['loss']} at step {progress.step}; lower learning_rate or check data"
                )
            progress.sums = {name: progress.sums.get(name, 0.0) + value for name, value in values.items()}
            bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
            bar.update()
            progress.elapsed = time.monotonic() - begun
            last = progress.step == settings.max_steps or out_of_time()
            if last or progress.step % settings.validate_every == 0:
                row = _row(progress) | validated()
                row |= {"learning_rate": learning_rate(progress.step - 1, settings), "seconds": progress.elapsed}
                row["windows_per_s"] = settings.batch_size * accumulate * progress.step / progress.elapsed
                progress.rows, progress.sums = [*progress.rows, row], {}
                write_history(out_dir / "history.csv", progress.rows)
                bar.write(
                    f"{label}: step {progress.step}  loss {row['loss']:.4f}  "
                    f"validation {row['validation_loss']:.4f}  {row['windows_per_s']:.0f} windows/s",
                    file=sys.stderr,
                )
            if last or progress.step % settings.save_every == 0:
                save_state(state_file, course, State(progress, model.state_dict(), ema.values, optimizer.state_dict()))
            if last:
                break
    write_history(out_dir / "history.csv", progress.rows)
    model.load_state_dict(ema.values)
    model.eval()
    return TrainingRecord(progress.rows, progress.schedule)


def _row(progress: Progress) -> Row:
    """Step and mean loss terms since the last row."""
    count = progress.step - int(progress.rows[-1]["step"] if progress.rows else 0)
    return {"step": progress.step} | {name: value / count for name, value in progress.sums.items()}


def _progress_bar(label: str, step: int, steps: int) -> tqdm[Never]:
    live = sys.stderr.isatty()
    return tqdm(
        total=steps,
        initial=step,
        desc=label,
        unit="step",
        mininterval=0.5 if live else 5.0,
        # Whole lines keep logs readable.
        bar_format=None if live else "{desc}: {n}/{total} {postfix} [{elapsed}<{remaining}]\n",
        file=sys.stderr,
    )
