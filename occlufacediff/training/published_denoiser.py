"""The published training of the denoiser: phases, masks, losses on the whole head, windows of every clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from occlufacediff.config.published_recipe import PublishedDenoiserSettings, PublishedMaskOdds
from occlufacediff.config.training import DenoiserSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.spec_augment import thinned
from occlufacediff.training.loop import autocast
from occlufacediff.training.losses import MotionLoss, MotionTruth
from occlufacediff.training.optimisation import step_seed
from occlufacediff.training.phases import Phase, Phases, enter_phase
from occlufacediff.training.published_windows import Clips, Drawing, PublishedWindows
from occlufacediff.training.resampling import WINDOW
from occlufacediff.training.share import Share
from occlufacediff.training.task import Batch, Losses, mean_terms, micro_batches, validation_rows
from occlufacediff.training.windows import collate

#: Windows of each clip in an epoch of random validation, as published.
VALIDATION_WINDOWS_PER_CLIP = 10
#: Fixed validation windows of at most this number of bytes (512 MiB, about 650 windows with waveforms) stay in memory;
#: more are read and masked at each validation.
KEPT_VALIDATION = 1 << 29


@dataclass(frozen=True)
class PhaseOdds:
    """Odds of the masks of an item in the phase of its epoch; can be sent to loader processes."""

    settings: PublishedDenoiserSettings

    def __call__(self, epoch: int, item: int) -> PublishedMaskOdds:
        """The odds of an item; they are those of its epoch."""
        return odds_of(self.settings, phases_of(self.settings).of_epoch(epoch))


@dataclass(frozen=True)
class AlternatingOdds:
    """Odds of fixed validation windows: those of both phases in turn, in all epochs."""

    settings: PublishedDenoiserSettings

    def __call__(self, epoch: int, item: int) -> PublishedMaskOdds:
        """The odds of an item."""
        return odds_of(self.settings, "audio" if item % 2 else "visual")


def phases_of(settings: PublishedDenoiserSettings) -> Phases:
    """Which epochs are visual."""
    return Phases(settings.cycle_epochs, settings.visual_epochs)


def odds_of(settings: PublishedDenoiserSettings, phase: Phase) -> PublishedMaskOdds:
    """Odds of the masks in a phase."""
    return settings.visual_masks if phase == "visual" else settings.audio_masks


def drawing_of(
    settings: DenoiserSettings, seed: int, *, per_clip: int | None = None, size: int | None = None
) -> Drawing:
    """How windows are drawn; clips shorter than a window are left out."""
    published = settings.published
    return Drawing(
        seed=seed,
        length=WINDOW,
        per_clip=per_clip or published.windows_per_clip,
        batch_size=size or settings.loop.batch_size,
        skip_last_start=published.skip_last_start,
        shortest=WINDOW,
    )


class PublishedDenoiserTask:
    """The published training of the denoiser as a `Task`.

    Args:
        model: the denoiser, on ``device``.
        prior: the motion prior, on ``device``; it is frozen and in eval mode, and gradients pass through its decoder.
        training: training clips.
        validation: validation clips.
        asset: the head model.
        settings: of the training.
        seed: of all draws.
        device: where the networks are.
        share: rows of each micro-batch that this process trains on.
    """

    label = "denoiser"

    def __init__(
        self,
        model: Denoiser,
        prior: MotionPrior,
        training: Clips,
        validation: Clips,
        asset: HeadAsset,
        *,
        settings: DenoiserSettings,
        seed: int,
        device: torch.device,
        share: Share,
    ) -> None:
        self.model: nn.Module = model
        self.denoiser = model
        self.prior = prior.eval().requires_grad_(False)
        self.settings = settings
        self.published = settings.published
        self.seed = seed
        self.device = device
        self.share = share
        self.phases = phases_of(self.published)
        self.schedule = NoiseSchedule.cosine().to(device)
        head = HeadModel(asset)
        if self.published.vertices == "landmarks":
            head = head.subset(head.landmark_vertices)
        self.terms = MotionLoss(prior=prior, head=head, weights=self.published.losses).to(device)
        # Our audio encoder for log-mel has no mask embedding, so SpecAugment acts on wav2vec2 only.
        spans = (self.published.spec_augment_spans, self.published.spec_augment_frames)
        self.audio = "waveform" if model.config.audio == "wav2vec2" else "log_mel"
        self.dataset = PublishedWindows(
            training,
            drawing_of(settings, seed),
            odds=PhaseOdds(self.published),
            spec_augment=spans if self.audio == "waveform" and spans[0] else None,
        )
        self.validation = validation
        self._kept: list[Batch] = []
        self._last = 0

    @property
    def epoch_size(self) -> int:
        """Micro-batches per epoch."""
        return self.dataset.epoch_size

    def epoch_of(self, micro_batch: int) -> int:
        """Epoch of a micro-batch, counted from 1."""
        return micro_batch // self.epoch_size + 1

    def batches(self, first: int, last: int) -> Iterable[Batch]:
        """See `Task.batches`."""
        on_gpu = self.device.type == "cuda"
        return micro_batches(self.dataset, first, last, self.settings.loop, self.share, on_gpu=on_gpu)

    def prepare(self, micro_batch: int) -> None:
        """Enter the phase of the micro-batch's epoch."""
        self._last = micro_batch
        epoch = self.epoch_of(micro_batch)
        first = self.phases.first_audio_epoch()
        # Before the first audio phase the frozen parts have never had a gradient, so the optimizer skips them.
        drift = self.published.frozen_drift and first is not None and epoch > first
        enter_phase(self.denoiser, self.phases.of_epoch(epoch), drift=drift)

    def losses(self, batch: Batch) -> Losses:
        """Terms of a batch; diffusion steps, noise and audio dropout are drawn from torch's generator.

        ``audio_phase`` is 1 in a phase that trains the audio encoder, else 0.
        """
        size = len(batch["exp"])
        index = (self.share.rand(size, device=self.device) * self.schedule.steps).long()
        keep = self.share.rand(size, device=self.device) >= self.settings.audio_dropout
        seen = self.share.rand(size, device=self.device) >= self.settings.landmark_dropout
        mask = batch["lmk_mask"]
        if self.published.mask_per_batch:
            mask = self.share.whole(mask)[:1] * torch.isfinite(batch["lmk_target"]).all(-1)
        mask = mask * seen[:, None, None]
        masked = batch.get("audio_masked")
        if masked is not None:
            masked = masked > 0
            if self.published.spec_augment_thinned:
                rows = self.share.rows(size * self.share.processes)
                masked = thinned(self.share.whole(masked.float()) > 0)[rows]
        terms = self._terms(batch, index, mask, keep, masked, sampled=self.published.sampled_targets)
        # Its mean in history.csv is the share of micro-batches that trained the audio encoder.
        audio = self.phases.of_epoch(self.epoch_of(self._last)) == "audio"
        return terms | {"audio_phase": torch.tensor(float(audio), device=self.device)}

    def validate(self) -> Losses:
        """Terms of the validation windows.

        By default windows, masks and diffusion steps are always the same, half of the masks with each phase's odds,
        and targets are the motion prior's means. As published, windows, masks and diffusion steps are drawn again in
        each epoch, with the odds of its phase; targets are drawn too if ``sampled_targets`` is true.
        """
        random = self.published.random_validation
        windows, items = self._validation_windows(self.epoch_of(self._last) if random else 1)
        rows_of = validation_rows(len(items))
        if random:
            torch.manual_seed(step_seed(self.seed, self._last))
            index = (torch.rand(len(items), device=self.device) * self.schedule.steps).long()
        else:
            index = torch.linspace(0, self.schedule.steps - 1, len(items), device=self.device).round().long()

        def terms(rows: slice, samples: Batch) -> tuple[int, Losses]:
            batch = {name: value.to(self.device) for name, value in samples.items()}
            sampled = random and self.published.sampled_targets
            return len(samples["exp"]), self._terms(batch, index[rows], batch["lmk_mask"], None, None, sampled=sampled)

        if self._kept:
            return mean_terms(terms(rows, batch) for rows, batch in zip(rows_of, self._kept, strict=True))
        batches = (collate(windows.__getitems__(items[rows])) for rows in rows_of)
        return mean_terms(
            terms(rows, self._keep(batch, len(items), random)) for rows, batch in zip(rows_of, batches, strict=True)
        )

    def _keep(self, batch: Batch, windows: int, random: bool) -> Batch:
        """Keep a batch of fixed validation windows in memory, if all ``windows`` of them are small enough."""
        size = sum(value.nbytes for value in batch.values()) // len(batch["exp"])
        if not random and windows * size <= KEPT_VALIDATION:
            self._kept.append(batch)
        return batch

    def _terms(
        self,
        batch: Batch,
        index: Tensor,
        mask: Tensor,
        keep: Tensor | None,
        masked: Tensor | None,
        *,
        sampled: bool,
    ) -> Losses:
        draw = self.share.randn_like if self.model.training else torch.randn_like
        with torch.no_grad():
            target, logvar = self.prior.encode(torch.cat([batch["exp"], batch["jaw"]], -1))
            if sampled:
                target = target + torch.exp(0.5 * logvar) * draw(target)
        noisy = self.schedule.add_noise(target, index, draw(target))
        with autocast(self.settings.loop, self.device):
            predicted = self.model(
                noisy, self.schedule.timestep_map[index], batch["lmk_2d"], mask, batch[self.audio], keep, masked
            )
        truth = MotionTruth(
            exp=batch["exp"],
            jaw=batch["jaw"],
            shape=batch["shape"][:, None],
            global_pose=batch["global_pose"],
            cam=batch["cam"],
            lmk_2d=batch["lmk_target"],
        )
        return self.terms(predicted.float(), target, truth)

    def _validation_windows(self, epoch: int) -> tuple[PublishedWindows, range]:
        """The windows of validation, and the items of an epoch: at most ``loop.validation_windows``."""
        count = min(self.settings.loop.validation_windows, VALIDATION_WINDOWS_PER_CLIP * len(self.validation))
        windows = PublishedWindows(
            self.validation,
            drawing_of(self.settings, self.seed + 1, per_clip=VALIDATION_WINDOWS_PER_CLIP, size=1),
            odds=AlternatingOdds(self.published) if not self.published.random_validation else PhaseOdds(self.published),
        )
        first = (epoch - 1) * windows.epoch_size
        return windows, range(first, first + min(count, windows.epoch_size))
