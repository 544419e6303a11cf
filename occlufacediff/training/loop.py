"""The loop both networks are trained by: resumable to the bit on one machine, with a live loss and a history."""

from __future__ import annotations

import csv
import io
import math
import pickle
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from occlufacediff.config.training import LoopSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside
from occlufacediff.storage import faults_named

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]
Row = dict[str, float]

RESUME = "resume"
#: Columns of history.csv that depend on the machine's speed and not on the training.
CLOCK_COLUMNS = ("seconds", "windows_per_s")


def autocast(settings: LoopSettings, device: torch.device) -> torch.autocast:
    """Context in which the networks run: bf16 products, or plain float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16")


class ExponentialMovingAverage:
    """Moving average of a network's weights; buffers are copied.

    Args:
        model: the network.
        decay: weight of the past at each step; early on less, so that the start is forgotten. 0 follows the network.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._weights = {name for name, _ in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if name in self._weights:
                self.values[name].lerp_(value, part)
            else:
                self.values[name].copy_(value)


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Rate of a step: a linear rise, then half a cosine down to a twentieth of the peak at ``max_steps``."""
    rise = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    along = min(1.0, step / max(settings.max_steps, 1))
    return settings.learning_rate * rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along)))


def make_optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices and convolutions only."""
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99))


def write_history(path: Path, rows: list[Row]) -> None:
    """Write history.csv whole: one row a validation, columns in the order they first appeared."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: f"{value:.6g}" for key, value in row.items()} for row in rows])
    with written_aside(path) as aside:
        aside.write_text(text.getvalue())


def step_seed(seed: int, step: int) -> int:
    """Seed of the noise and dropout of a step, so that a resumed training draws what the undisturbed one does."""
    return (seed * 1_000_003 + step) % (2**63)


def train(
    model: nn.Module,
    *,
    batches: Callable[[int, int], Iterable[Batch]],
    losses: Callable[[Batch], Losses],
    validate: Callable[[], Losses],
    settings: LoopSettings,
    out_dir: Path,
    key: str,
    seed: int,
    device: torch.device,
    label: str,
) -> list[Row]:
    """Train a network and leave the averaged weights in it.

    Every step seeds torch anew from the seed and the step's number, so a training that was killed and resumed
    gives the same history and weights as an undisturbed one (for one device and number of threads).

    Args:
        model: the network, on ``device``.
        batches: batches of the steps from the first up to the second number.
        losses: terms of a batch; ``loss`` is the one that is minimised.
        validate: terms on the validation windows, by the network as it then is (in eval mode, no gradients).
        settings: of the loop.
        out_dir: gets history.csv and, until the end, `resume/`.
        key: what the training depends on; a state saved under another key is thrown away.
        seed: of noise and dropout.
        device: where the batches go.
        label: word before the live loss.

    Returns:
        The rows of history.csv.

    Raises:
        AssetError: the loss is not finite.
        StorageError: the disk is full or a folder cannot be written to; the state saved last is kept.
    """
    optimizer = make_optimizer(model, settings)
    average = ExponentialMovingAverage(model, settings.ema_decay)
    state_file = out_dir / RESUME / "state.pt"
    step, elapsed, sums, rows = 0, 0.0, {}, []  # type: int, float, Row, list[Row]
    state = _load_state(state_file, key, device)
    if state is not None:
        model.load_state_dict(state["model"])
        average.values = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        step, elapsed, sums, rows = state["step"], state["elapsed"], state["sums"], state["rows"]
        print(f"{label}: goes on from step {step} of {settings.max_steps}", file=sys.stderr, flush=True)

    def validated() -> Row:
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(average.values)
        model.eval()
        torch.manual_seed(seed)
        with torch.no_grad():
            row = {f"validation_{name}": float(value) for name, value in validate().items()}
        model.load_state_dict(kept)
        model.train()
        return row

    model.train()
    begun = time.monotonic() - elapsed
    live = sys.stderr.isatty()
    bar = tqdm(
        total=settings.max_steps,
        initial=step,
        desc=label,
        unit="step",
        mininterval=0.5 if live else 5.0,
        # Not on a terminal: whole lines, so that logs stay readable.
        bar_format=None if live else "{desc}: {n}/{total} {postfix} [{elapsed}<{remaining}]\n",
        file=sys.stderr,
    )
    with bar:
        for batch in batches(step, settings.max_steps):
            torch.manual_seed(step_seed(seed, step))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, settings)
            terms = losses({name: value.to(device, non_blocking=True) for name, value in batch.items()})
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            step += 1
            average.update(model, step)
            values = {name: float(value.detach()) for name, value in terms.items()} | {"gradient_norm": float(norm)}
            if not math.isfinite(values["loss"]) or not math.isfinite(values["gradient_norm"]):
                raise AssetError(
                    f"{label}: the loss is {values['loss']} at step {step}; lower learning_rate or check data"
                )
            sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
            bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
            bar.update()
            elapsed = time.monotonic() - begun
            over = settings.max_minutes is not None and elapsed > 60 * settings.max_minutes
            last = over or step == settings.max_steps
            if last or step % settings.validate_every == 0:
                count = step - int(rows[-1]["step"] if rows else 0)
                row: Row = {"step": step} | {name: value / count for name, value in sums.items()} | validated()
                row |= {"learning_rate": learning_rate(step - 1, settings), "seconds": elapsed}
                row["windows_per_s"] = settings.batch_size * step / elapsed
                rows, sums = [*rows, row], {}
                write_history(out_dir / "history.csv", rows)
                bar.write(
                    f"{label}: step {step}  loss {row['loss']:.4f}  validation {row['validation_loss']:.4f}  "
                    f"{row['windows_per_s']:.0f} windows/s",
                    file=sys.stderr,
                )
            if not last and step % settings.save_every == 0:
                content = {"key": key, "step": step, "elapsed": elapsed, "sums": sums, "rows": rows}
                content |= {"model": model.state_dict(), "average": average.values, "optimizer": optimizer.state_dict()}
                with written_aside(state_file) as aside:
                    torch.save(content, aside)
            if last:
                break
    model.load_state_dict(average.values)
    model.eval()
    return rows


def forget_state(out_dir: Path) -> None:
    """Remove the state for a resume, once the results are in place."""
    shutil.rmtree(out_dir / RESUME, ignore_errors=True)


def _load_state(path: Path, key: str, device: torch.device) -> dict[str, Any] | None:
    """A saved state of the same key, or None; a damaged or foreign one is said and left out."""
    if not path.is_file():
        return None
    try:
        # Without this torch would try an old format, whose reader fails in many ways.
        # A disk that cannot be read now may still hold hours of training.
        with faults_named(path):
            if not zipfile.is_zipfile(path):
                raise ValueError("it is no archive of tensors")
            state = torch.load(path, map_location=device, weights_only=True)
        if state["key"] == key:
            return dict(state)
        reason = "it belongs to other data, settings or code"
    except (RuntimeError, EOFError, KeyError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = f"it cannot be read ({error})"
    print(f"{path}: not used, {reason}; training starts anew", file=sys.stderr, flush=True)
    return None
