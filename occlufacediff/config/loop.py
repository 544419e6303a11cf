"""Settings of the training loop that both networks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from occlufacediff.config.constraints import (
    DISTINCT,
    BelowOne,
    Count,
    CountOrZero,
    Fraction,
    Limits,
    NotNegative,
    Positive,
    Section,
)


@dataclass(frozen=True)
class LoopSettings(Section):
    """The training loop, which both networks share."""

    #: Optimizer steps. A larger number extends an earlier training of the run, see docs/open-weights.md.
    max_steps: Count = 600
    #: Passes over the training set, instead of ``max_steps``; null: ``max_steps`` counts.
    epochs: Count | None = None
    #: Stop after this many minutes; results then depend on the machine's speed. null: no limit.
    max_minutes: Positive | None = None
    #: Windows per micro-batch, over all processes together.
    batch_size: Count = 16
    #: Micro-batches per optimizer step; their gradients are averaged.
    accumulate: Count = 1
    #: Peak learning rate of AdamW; it rises over ``warmup_steps``.
    learning_rate: Positive = 1e-3
    #: Learning rate after the warm-up: ``cosine`` falls along half a cosine until the last step, ``restarts`` does so
    #: again every ``restart_epochs`` (cosine with warm restarts), ``constant`` stays.
    schedule: Literal["cosine", "restarts", "constant"] = "cosine"
    #: Lowest learning rate of a cosine, as a fraction of ``learning_rate``.
    lowest_rate: Fraction = 0.05
    #: Passes over the training set until the learning rate of ``restarts`` rises to its peak again.
    restart_epochs: Count = 15
    #: Steps until the peak learning rate.
    warmup_steps: CountOrZero = 30
    #: Decoupled weight decay of AdamW.
    weight_decay: NotNegative = 1e-2
    #: Weights that decay: ``matrices`` (and convolutions) only, or ``all``, with biases and norms.
    decay: Literal["matrices", "all"] = "matrices"
    #: Second beta of AdamW: how slowly its mean of squared gradients changes.
    beta2: BelowOne = 0.99
    #: Maximum gradient norm; larger gradients are scaled down. null: gradients are not clipped.
    clip_norm: Positive | None = 1.0
    #: Decay of the EMA weights, which are saved and evaluated; 0: no averaging.
    ema_decay: BelowOne = 0.98
    #: Precision of the networks' products: float32, tf32 (on GPUs that have it) or bf16 (autocast). Weights and losses
    #: are always float32.
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    #: Compile the network (torch.compile): slow to start, then faster, most of all on a GPU. It needs a C++ compiler.
    compile: bool = False
    #: Update all weights in one fused kernel of AdamW. null: on a GPU only.
    fused: bool | None = None
    #: Steps whose loss or gradient is not finite are skipped and counted in history.csv; more of them end the training.
    skip_limit: CountOrZero = 10
    #: Processes per node, each with its own GPU (with ``device: cpu``: processes on the CPU). They share each
    #: micro-batch, so ``batch_size`` must be a multiple of all processes. Results change by rounding only.
    devices: Count = 1
    #: Nodes of a SLURM job; more than one needs profiles/slurm.
    nodes: Count = 1
    #: Steps between validations; each adds a row to history.csv.
    validate_every: Count = 100
    #: Maximum number of validation windows, always the same ones.
    validation_windows: Count = 48
    #: Steps between saved states, from which an interrupted training resumes.
    save_every: Count = 200
    #: Steps between snapshots, which are complete checkpoints in ``snapshots/`` of the run. null: none.
    snapshots: Count | None = None
    #: Weights that the training leaves: those after the ``last`` step, or those of the ``best`` validation. Validations
    #: are compared by the error of sampled lips where ``denoiser.sampled.windows`` is above 0, else by their loss.
    keep: Literal["last", "best"] = "last"
    #: End the training after this many validations without a better one. null: never.
    early_stop: Count | None = None
    #: Live figures in addition to history.csv: ``tensorboard`` (events in the checkpoint's folder) and ``wandb``, if
    #: that is installed.
    trackers: Annotated[tuple[Literal["tensorboard", "wandb"], ...], DISTINCT] = ()
    #: Data loader processes; 0: load in the training process.
    loader_workers: CountOrZero = 0


@dataclass(frozen=True)
class SampledSettings(Section):
    """Validation by sampling: motion is sampled with occluded mouths, and its lips are compared with the truth."""

    #: Validation windows whose motion is sampled; 0: none.
    windows: CountOrZero = 0
    #: Diffusion steps of DDIM.
    steps: Annotated[int, Limits(1, 1000)] = 20
