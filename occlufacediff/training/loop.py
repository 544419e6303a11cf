"""The training loop of both networks: resumable to the bit on one machine, with a live loss and a history."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Never

import torch
from torch import nn
from tqdm import tqdm

from occlufacediff.config.loop import LoopSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.training.hooks import Hooks
from occlufacediff.training.hooks import TrainingRecord as TrainingRecord
from occlufacediff.training.meter import Meter, Row
from occlufacediff.training.optimisation import (
    ExponentialMovingAverage,
    learning_rate,
    make_optimizer,
    step_seed,
    update,
)
from occlufacediff.training.output import loader_faults, next_batch, progress_bar, write_history
from occlufacediff.training.parallel import ParallelTask, kept_statistics, make_fabric, product_precision
from occlufacediff.training.share import Share
from occlufacediff.training.state import (
    Course,
    Progress,
    State,
    best_path,
    keep_replaced,
    load_best,
    load_state,
    remove_other_best,
    save_best,
    save_state,
    state_path,
)
from occlufacediff.training.task import Batch, Losses, Task
from occlufacediff.training.trackers import Trackers, draw_openings

#: Columns of history.csv that depend on the machine's speed and not on the training.
CLOCK_COLUMNS = ("seconds", "windows_per_s")
#: Column of history.csv with the error of sampled lips, in millimetres.
SAMPLED = "validation_sampled_lips"


def autocast(settings: LoopSettings, device: torch.device) -> torch.autocast:
    """Context in which the networks run: bf16 products, or plain float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16")


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
    task: Task,
    *,
    settings: LoopSettings,
    out_dir: Path,
    course: Course,
    seed: int,
    device: torch.device,
    hooks: Hooks | None = None,
) -> TrainingRecord:
    """Train the network of a task; at the end it holds the EMA weights, or those of the best validation.

    Each micro-batch seeds torch from ``seed`` and its number. A training that was killed and resumed therefore gives
    the same history and weights as an uninterrupted one, with the same devices and numbers of threads and processes.
    The last state is kept in ``out_dir/resume``, so that a finished training can be extended by a larger ``max_steps``.
    Of several processes, all of which call this function, only the first writes files.

    Args:
        task: what to train, on ``device``.
        settings: of the loop.
        out_dir: gets history.csv and ``resume/``.
        course: what determines the weights; a state with another course is not resumed.
        seed: of noise and dropout.
        device: where the batches go.
        hooks: validation by sampling, and snapshots.

    Raises:
        AssetError: the loss of too many steps is not finite, or a loader process ended.
        ConfigError: ``epochs`` are too few for one step, or a tracker is not installed.
        StorageError: the disk is full or a folder is not writable; the last saved state is kept.
    """
    settings = replace(settings, max_steps=steps_of(settings, task.epoch_size))
    with product_precision(settings):
        return _Training(task, settings, out_dir, course, seed, device, hooks or Hooks()).run()


class _Training:
    """One call of `train`."""

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        out_dir: Path,
        course: Course,
        seed: int,
        device: torch.device,
        hooks: Hooks,
    ) -> None:
        self.hooks = hooks
        self.task, self.model, self.settings = task, task.model, settings
        self.out_dir, self.course, self.seed, self.device = out_dir, course, seed, device
        fabric = make_fabric(settings, device)
        self.share = Share.current()
        self.parallel = ParallelTask(task, fabric, self.share, compiled=settings.compile)
        self.first_process = self.share.process == 0
        self.epoch_steps = task.epoch_size / settings.accumulate
        self.optimizer = make_optimizer(self.model, settings)
        self.ema = ExponentialMovingAverage(self.model, settings.ema_decay)
        self.progress = Progress(schedule=[{"from_step": 0, "max_steps": settings.max_steps}])
        self._resume()
        self.meter = Meter(self.progress.sums, self.progress.skipped, self.progress.skipped_total, device)
        names = settings.trackers if self.first_process else ()
        self.trackers = Trackers(names, out_dir, task.label, self.progress.step)
        if settings.compile:
            self.model.compile()
        self.begun = time.monotonic() - self.progress.elapsed

    def _resume(self) -> None:
        """Continue from the saved state, if it belongs to this training."""
        most = self.settings.max_steps
        state = load_state(state_path(self.out_dir), self.course, most, self.device)
        if state is None:
            if self.first_process:
                keep_replaced(self.out_dir)
                self.hooks.set_aside()
            return
        self.model.load_state_dict(state.model)
        self.ema.load(state.ema)
        self.optimizer.load_state_dict(state.optimizer)
        self.progress = progress = state.progress
        before = progress.schedule[-1]["max_steps"]
        if before != most:
            progress.schedule.append({"from_step": progress.step, "max_steps": most})
        extended = f", extended from {before}" if before != most else ""
        print(
            f"{self.task.label}: resumes from step {progress.step} of {most}{extended}",
            file=sys.stderr,
            flush=True,
        )

    def run(self) -> TrainingRecord:
        """Train to the end."""
        settings, progress, label = self.settings, self.progress, self.task.label
        accumulate = settings.accumulate
        finished = progress.step >= settings.max_steps or (self._validated() and self._is_over())
        # A snapshot that is missing could not be written when the training got here.
        self._snapshot()
        with (
            progress_bar(label, progress.step, settings.max_steps, show=self.first_process) as bar,
            loader_faults(label, lambda: progress.step),
        ):
            if not finished:
                batches = iter(self.task.batches(progress.step * accumulate, settings.max_steps * accumulate))
            while not finished:
                self._step([next_batch(batches) for _ in range(accumulate)])
                self._show(bar)
                progress.elapsed = time.monotonic() - self.begun
                last = progress.step == settings.max_steps or self._out_of_time()
                if last or progress.step % settings.validate_every == 0:
                    self._validate(bar)
                finished = last or (self._validated() and self._is_over())
                if finished or progress.step % settings.save_every == 0 or self._snapshot_is_due():
                    self._save()
                self._snapshot()
        if self.first_process:
            write_history(self.out_dir / "history.csv", progress.rows)
        self.trackers.close()
        return self._end()

    def _is_over(self) -> bool:
        """Whether the training ends at this validated step: out of time, or too long without a better validation."""
        patience, best = self.settings.early_stop, self.progress.best
        if patience is not None and best is not None:
            later = sum(row["step"] > best["step"] for row in self.progress.rows)
            if later >= patience:
                return True
        return self._out_of_time()

    def _end(self) -> TrainingRecord:
        """Put the weights that are kept into the network."""
        progress, best = self.progress, self.progress.best
        record = TrainingRecord(progress.rows, progress.schedule, progress.step)
        self.model.load_state_dict(self.ema.values)
        if self.settings.keep == "best" and best is not None:
            step = int(best["step"])
            values = load_best(best_path(self.out_dir, step), step, self.device)
            self.model.load_state_dict(values)
            record = replace(record, step=step, best=best)
            print(
                f"{self.task.label}: keeps the weights of step {best['step']}, {best['by']} {best['value']:.4f}",
                file=sys.stderr,
                flush=True,
            )
        self.model.eval()
        return record

    def _snapshot_is_due(self) -> bool:
        step, every = self.progress.step, self.settings.snapshots
        return every is not None and step > 0 and step % every == 0 and self.hooks.snapshot is not None

    def _snapshot(self) -> None:
        """Write the snapshot of this step, if one is due and missing; the state is saved before."""
        if self.first_process and self._snapshot_is_due() and not self.hooks.has_snapshot(self.progress.step):
            assert self.hooks.snapshot is not None
            with self._averaged():
                self.hooks.snapshot(TrainingRecord(self.progress.rows, self.progress.schedule, self.progress.step))

    def _step(self, micro_batches: list[Batch]) -> None:
        """One optimizer step."""
        settings, step = self.settings, self.progress.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings, self.epoch_steps)
        self.optimizer.zero_grad(set_to_none=True)
        statistics = kept_statistics(self.model)
        terms: Losses = {}
        for place, batch in enumerate(micro_batches):
            number = step * settings.accumulate + place
            self.model.train()
            self.task.prepare(number)
            moved = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
            torch.manual_seed(step_seed(self.seed, number))
            last = place == settings.accumulate - 1
            found = self.parallel.backward(moved, accumulate=settings.accumulate, last=last)
            for name, value in found.items():
                part = value / settings.accumulate
                terms[name] = terms[name] + part if name in terms else part
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm or math.inf)
        values = self.parallel.mean(torch.stack([*terms.values(), norm]).double())
        finite = self.meter.add([*terms, "gradient_norm"], values)
        update(self.optimizer, finite)
        for buffer, before in statistics:
            buffer.copy_(torch.where(finite, buffer, before))
        self.progress.step += 1
        self.ema.update(self.model, self.progress.step)

    def _show(self, bar: tqdm[Never]) -> None:
        """Move the progress bar, and show the loss where the bar is drawn: fetching it waits for the device."""
        bar.update()
        now = time.monotonic()
        if self.device.type == "cpu" or now - self._shown >= bar.mininterval:
            self._shown = now
            bar.set_postfix(loss=f"{self.meter.latest('loss'):.4f}", refresh=False)
            self._check_skipped()

    _shown = 0.0

    def _check_skipped(self) -> None:
        """End the training if too many steps were skipped.

        Raises:
            AssetError: more than ``skip_limit`` steps had a loss or gradient that is not finite.
        """
        total = self.meter.skipped()[1]
        if total > self.settings.skip_limit:
            raise AssetError(
                f"{self.task.label}: the loss or its gradient was not finite in {total} of {self.progress.step} steps, "
                f"more than loop.skip_limit ({self.settings.skip_limit}); lower loop.learning_rate or check the data. "
                "The last saved state is kept"
            )

    def _validated(self) -> bool:
        """Whether the last step has its row of history.csv."""
        rows = self.progress.rows
        return bool(rows) and rows[-1]["step"] == self.progress.step

    def _out_of_time(self) -> bool:
        limit = self.settings.max_minutes
        if limit is None:
            return False
        over = self.progress.elapsed > 60 * limit
        if self.share.processes == 1:
            return over
        # Clocks differ, and asking the first process takes time.
        return self.progress.step % 20 == 0 and bool(self.parallel.from_first(over))

    def _validate(self, bar: tqdm[Never]) -> None:
        """Add a row to history.csv; the first process validates, the others wait."""
        progress, settings = self.progress, self.settings
        self._check_skipped()
        row = self._row() | (self._validation() if self.first_process else {})
        row |= {"learning_rate": learning_rate(progress.step - 1, settings, self.epoch_steps)}
        row["seconds"] = progress.elapsed
        row["windows_per_s"] = settings.batch_size * settings.accumulate * progress.step / progress.elapsed
        row = self.parallel.from_first(row)
        progress.rows = [*progress.rows, row]
        self.meter.start_row()
        self._compare(row)
        if self.first_process:
            self.trackers.log(row)
            write_history(self.out_dir / "history.csv", progress.rows)
            sampled = f"sampled lips {row[SAMPLED]:.2f} mm  " if SAMPLED in row else ""
            bar.write(
                f"{self.task.label}: step {progress.step}  loss {row['loss']:.4f}  "
                f"validation {row['validation_loss']:.4f}  {sampled}{row['windows_per_s']:.0f} windows/s",
                file=sys.stderr,
            )

    def _row(self) -> Row:
        """Step, skipped steps and mean loss terms of the others since the last row."""
        progress, (skipped, _) = self.progress, self.meter.skipped()
        count = progress.step - int(progress.rows[-1]["step"] if progress.rows else 0) - skipped
        means = {name: value / count if count else math.nan for name, value in self.meter.sums().items()}
        return {"step": progress.step} | means | {"skipped": skipped}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network holds the EMA weights, in eval mode and without gradients."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()} if self.ema.decay else {}
        self.model.load_state_dict(self.ema.values)
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.load_state_dict(kept or self.ema.values)

    def _validation(self) -> Row:
        """Terms on the validation windows with the EMA weights, and the error of sampled lips."""
        with self._averaged():
            torch.manual_seed(self.seed)
            row = {f"validation_{name}": float(value) for name, value in self.task.validate().items()}
            if self.hooks.sampled is not None:
                row[SAMPLED], openings = self.hooks.sampled()
                picture = self.out_dir / "validation" / f"step_{self.progress.step:06d}.png"
                draw_openings(openings, picture)
                self.trackers.picture(picture, self.progress.step)
        return row

    def _compare(self, row: Row) -> None:
        """Remember the validation as the best one if it is; the first process saves its weights."""
        by, best, settings = SAMPLED if SAMPLED in row else "validation_loss", self.progress.best, self.settings
        if SAMPLED not in row and settings.keep == "last" and settings.early_stop is None:
            return
        if math.isfinite(row[by]) and (best is None or best["by"] != by or row[by] < best["value"]):
            self.progress.best = {"step": self.progress.step, "by": by, "value": row[by]}
            if self.first_process:
                save_best(best_path(self.out_dir, self.progress.step), self.progress.step, self.ema.values)

    def _save(self) -> None:
        """Save the state, from which a killed training resumes."""
        progress = self.progress
        progress.sums, (progress.skipped, progress.skipped_total) = self.meter.sums(), self.meter.skipped()
        if self.first_process:
            state = State(progress, self.model.state_dict(), self.ema.values, self.optimizer.state_dict())
            save_state(state_path(self.out_dir), self.course, state)
            remove_other_best(self.out_dir, None if progress.best is None else int(progress.best["step"]))
