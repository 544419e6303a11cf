"""Samples motion from visible landmarks and audio: all windows of all clips in one batch, joined by overlap-add.

The diffusion runs on the whole latent sequence of a clip. At each step, the predictions of the overlapping windows are
combined by overlap-add with ``sin^2`` weights, so neighbouring windows agree from the first step on. The decoded
windows are combined in the same way, frame by frame. A clip of more than ``MAX_SEGMENT_WINDOWS`` windows is sampled in
segments; each inpaints the latents that the previous segment has sampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

from occlufacediff.models.conditions import Conditions, GuidanceBranch, Precision, SampleInput
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.layers import FRAMES_PER_LATENT
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.published_windows import join_windows, split_clip
from occlufacediff.models.sampler import Ddim, DpmSolver, clip_noise
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.step_decoder import StepDecoder
from occlufacediff.models.windows import (
    WINDOW_FRAMES,
    OverlapAdd,
    Segment,
    WindowLayout,
    split_segments,
    window_layout,
)

#: Guidance weights (s_all, s_audio); None for one of them means 1 and 0.
Guidance = tuple[float | None, float | None]

#: Windows that are prepared at a time (64 windows cover 82 s at the default hop). Not a setting: it determines where
#: long clips are split into segments, and thereby their result.
MAX_SEGMENT_WINDOWS = 256


def make_sampler(solver: Literal["ddim", "dpmpp"], steps: int) -> Ddim | DpmSolver:
    """Create a sampler for the published noise schedule.

    Raises:
        ValueError: unknown solver or number of steps out of range.
    """
    schedule = NoiseSchedule.cosine()
    if solver == "ddim":
        return Ddim(schedule.respaced(str(steps)))
    if solver == "dpmpp":
        return DpmSolver(schedule, steps)
    raise ValueError(f"solver: got {solver!r}, needs 'ddim' or 'dpmpp'")


def guidance_branches(guidance: Guidance | None) -> list[GuidanceBranch]:
    """The passes of the network for these guidance weights, without those of weight 0."""
    if guidance is None:
        return [GuidanceBranch(True, True, 1.0)]
    s_all = 1.0 if guidance[0] is None else float(guidance[0])
    s_audio = 0.0 if guidance[1] is None else float(guidance[1])
    branches = [
        GuidanceBranch(True, True, s_all),
        GuidanceBranch(False, True, s_audio),
        GuidanceBranch(False, False, 1.0 - s_all - s_audio),
    ]
    return [branch for branch in branches if branch.weight != 0.0]


def sample_motion(
    denoiser: Denoiser,
    prior: MotionPrior,
    lmk_2d: Tensor,
    lmk_mask: Tensor,
    audio: Tensor,
    *,
    seed: int,
    clip_id: str,
    steps: int = 20,
    solver: Literal["ddim", "dpmpp"] = "dpmpp",
    guidance: Guidance | None = None,
    use_audio: bool = True,
    samples: int = 1,
    max_batch: int = 64,
    hop: int = WINDOW_FRAMES // 2,
    precision: Precision = "float32",
    device: torch.device | str = "cpu",
) -> Tensor:
    """Sample the motion (samples, T, M) of one clip; see ``sample_clips``."""
    clip = SampleInput(clip_id=clip_id, lmk_2d=lmk_2d, lmk_mask=lmk_mask, audio=audio)
    return sample_clips(
        denoiser,
        prior,
        [clip],
        seed=seed,
        steps=steps,
        solver=solver,
        guidance=guidance,
        use_audio=use_audio,
        samples=samples,
        max_batch=max_batch,
        hop=hop,
        precision=precision,
        device=device,
    )[0]


@torch.no_grad()
def sample_clips(
    denoiser: Denoiser,
    prior: MotionPrior,
    clips: Sequence[SampleInput],
    *,
    seed: int,
    steps: int = 20,
    solver: Literal["ddim", "dpmpp"] = "dpmpp",
    guidance: Guidance | None = None,
    use_audio: bool = True,
    samples: int = 1,
    max_batch: int = 64,
    hop: int = WINDOW_FRAMES // 2,
    precision: Precision = "float32",
    device: torch.device | str = "cpu",
) -> list[Tensor]:
    """Sample the motion of many clips in one batch.

    Both models are used in evaluation mode, and their modes are restored. Memory use beyond inputs and results does not
    depend on the lengths of the clips: at most ``MAX_SEGMENT_WINDOWS`` windows are prepared at a time.

    Args:
        denoiser: on ``device``.
        prior: the motion prior whose latents the denoiser was trained on, on ``device``.
        clips: clips of any lengths.
        seed: determines the noise, together with each clip's id and the index of the sample.
        steps: number of diffusion steps.
        solver: "dpmpp" for few steps; "ddim" with 100 steps as published.
        guidance: weights (s_all, s_audio); None for the conditional network without guidance.
        use_audio: false removes the audio.
        samples: motions per clip, with different noise.
        max_batch: windows (times samples and guidance branches) per network call; limits the memory only.
        hop: frames between the starts of consecutive windows; 64 samples windows side by side and independently,
            as published (`published_windows`).
        precision: "bf16" computes matrix products of the network in bfloat16; solver and decoder remain in float32.
        device: where to compute.

    Returns:
        One motion (samples, T, M) per clip, float32 on the CPU.

    Raises:
        ValueError: shapes that do not match; the message names the clip.
    """
    device = torch.device(device)
    modes = denoiser.training, prior.training
    denoiser.eval()
    prior.eval()
    try:
        conditions = Conditions(denoiser, guidance_branches(guidance), use_audio=use_audio)
        for clip in clips:
            conditions.check(clip)
        side_by_side = hop == WINDOW_FRAMES
        clip_parts = [split_clip(clip) if side_by_side else [clip] for clip in clips]
        sequences = []
        for clip, parts in zip(clips, clip_parts, strict=True):
            layouts = [window_layout(part.lmk_2d.shape[0], hop=hop) for part in parts]
            shape = (sum(layout.latents for layout in layouts), prior.config.latent_dim)
            noise = torch.stack([clip_noise(seed, clip.clip_id, shape, sample) for sample in range(samples)]).to(device)
            part_noises = noise.split([layout.latents for layout in layouts], dim=1)
            for part, layout, part_noise in zip(parts, layouts, part_noises, strict=True):
                sequences.append(_LatentSequence(part, layout, part_noise, torch.zeros_like(part_noise)))
        sampler = make_sampler(solver, steps)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            timesteps = torch.tensor(sampler.steps, device=device)
            decoder = denoiser.step_decoder(timesteps, torch.bfloat16 if precision == "bf16" else torch.float32)
            for batch in _batch_segments(sequences):
                _sample_segments(batch, conditions, decoder, sampler, max_batch)
        motions = (_decode(prior, sequence, max_batch, hop) for sequence in sequences)
        if not side_by_side:
            return list(motions)
        return [
            join_windows(list(islice(motions, len(parts))), clip.lmk_2d.shape[0])
            for clip, parts in zip(clips, clip_parts, strict=True)
        ]
    finally:
        denoiser.train(modes[0])
        prior.train(modes[1])


@dataclass(frozen=True)
class _LatentSequence:
    """The latents (samples, N, D) of a clip: the initial noise, and the result, which is filled segment by segment."""

    clip: SampleInput
    layout: WindowLayout
    noise: Tensor
    latents: Tensor


_SegmentOf = tuple[_LatentSequence, Segment]


def _batch_segments(sequences: Sequence[_LatentSequence]) -> Iterator[list[_SegmentOf]]:
    """Group all segments in order into batches of few windows; a continued segment starts a new batch."""
    batch: list[_SegmentOf] = []
    windows = 0
    for sequence in sequences:
        for segment in split_segments(sequence.layout, MAX_SEGMENT_WINDOWS):
            count = segment.last - segment.first
            if batch and (segment.fixed or windows + count > MAX_SEGMENT_WINDOWS):
                yield batch
                batch, windows = [], 0
            batch.append((sequence, segment))
            windows += count
    if batch:
        yield batch


def _sample_segments(
    batch: Sequence[_SegmentOf],
    conditions: Conditions,
    decoder: StepDecoder,
    sampler: Ddim | DpmSolver,
    max_batch: int,
) -> None:
    """Sample the latents of segments as one concatenated sequence and write them to their clips' latents."""
    noise = torch.cat([sequence.noise[:, part.start : part.stop] for sequence, part in batch], dim=1)
    samples, length, device = noise.shape[0], noise.shape[1], noise.device
    fixed = torch.zeros(length, device=device)
    fixed_latents = torch.zeros_like(noise)
    indices, windows, begin = [], [], 0
    for sequence, part in batch:
        indices.append(sequence.layout.index()[part.first : part.last] + (begin - part.start))
        windows += [(sequence.clip, int(start)) for start in sequence.layout.starts[part.first : part.last]]
        fixed[begin : begin + part.fixed] = 1
        fixed_latents[:, begin : begin + part.fixed] = sequence.latents[:, part.start : part.start + part.fixed]
        begin += part.stop - part.start
    index = torch.cat(indices).to(device)
    weights = batch[0][0].layout.weights().to(device)
    branches = conditions.branches
    branch_weights = torch.tensor([branch.weight for branch in branches], device=device)[:, None, None, None, None]
    chunk = max(1, max_batch // (len(branches) * samples))
    prepared = [
        (index[at : at + chunk], conditions.prepare(windows[at : at + chunk], decoder, samples, device))
        for at in range(0, len(windows), chunk)
    ]

    def predict(x: Tensor, step: int) -> Tensor:
        overlap_add = OverlapAdd(length, weights)
        for chunk_index, chunk_windows in prepared:
            noisy = x[:, chunk_index].expand(len(branches), -1, -1, -1, -1)
            clean = conditions.denoiser.denoise_prepared(noisy.flatten(0, 2), step, chunk_windows)
            overlap_add.add((clean.reshape(noisy.shape) * branch_weights).sum(0), chunk_index)
        return overlap_add.mean()

    inpaint = (fixed.expand(samples, -1), fixed_latents) if any(part.fixed for _, part in batch) else None
    latents = sampler.sample(predict, noise, inpaint=inpaint)
    begin = 0
    for sequence, part in batch:
        sequence.latents[:, part.start : part.stop] = latents[:, begin : begin + part.stop - part.start]
        begin += part.stop - part.start


def _decode(prior: MotionPrior, sequence: _LatentSequence, max_batch: int, hop: int) -> Tensor:
    """Decode the latents of a clip to motion (samples, T, M), float32 on the CPU."""
    layout = sequence.layout
    motion = _apply_overlapping(prior.decode, sequence.latents, layout, 1, max_batch)
    if prior.config.linear and hop < WINDOW_FRAMES:
        motion = _smooth_latent_boundaries(prior, motion, hop, max_batch)
    return motion[:, : layout.frames].float().cpu()


def _smooth_latent_boundaries(prior: MotionPrior, motion: Tensor, hop: int, max_batch: int) -> Tensor:
    """Remove the discontinuities of motion (samples, T, M) at the boundaries of latents.

    The linear path decodes the 8 frames of each latent independently, so consecutive latents need not join smoothly.
    The motion is encoded and decoded again with all latents shifted by half their length. The former boundaries are
    then inside latents, where decoded motion is smooth. Each frame is the ``sin^2``-weighted mean of both versions,
    with small weights at the boundaries of each.
    """
    half = FRAMES_PER_LATENT // 2
    first, last = (end.expand(-1, half, -1) for end in (motion[:, :1], motion[:, -1:]))
    shifted = torch.cat([first, motion, last], dim=1)
    layout = window_layout(shifted.shape[1], hop=hop)
    decoded = _apply_overlapping(
        lambda window: prior.decode(prior.encode(window)[0]), shifted, layout, FRAMES_PER_LATENT, max_batch
    )
    phase = torch.arange(motion.shape[1], device=motion.device) % FRAMES_PER_LATENT
    weight = torch.sin((phase + 0.5) / FRAMES_PER_LATENT * math.pi)[:, None] ** 2
    return weight * motion + (1 - weight) * decoded[:, half:-half]


def _apply_overlapping(
    function: Callable[[Tensor], Tensor], rows: Tensor, layout: WindowLayout, unit: int, max_batch: int
) -> Tensor:
    """Apply a function to windows of rows (samples, N * unit, C); overlap-add its frames (samples, T, M)."""
    samples = rows.shape[0]
    index, frames = layout.index(unit).to(rows.device), layout.index(FRAMES_PER_LATENT)
    overlap_add = OverlapAdd(layout.padded_frames, layout.weights(FRAMES_PER_LATENT))
    chunk = max(1, max_batch // samples)
    for at in range(0, len(index), chunk):
        windows = function(rows[:, index[at : at + chunk]].flatten(0, 1))
        overlap_add.add(windows.unflatten(0, (samples, -1)), frames[at : at + chunk])
    return overlap_add.mean()
