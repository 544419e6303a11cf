"""From visible landmarks and sound to motion: all windows of all clips as one batch, seams blended at every step.

The diffusion runs on a clip's whole row of latents. At each step the overlapping windows' predictions of the clean
latents are blended into one row (weights: sin^2 over each window), so that neighbouring windows agree from the
first step on. The decoder's windows are blended in the same way, frame by frame, and so are latents that a prior with a
straight path would set side by side. A row of more than ``STRETCH_WINDOWS``
windows is sampled stretch by stretch, each with its beginning in-painted from the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

from occlufacediff.models import published_windows
from occlufacediff.models.conditions import Branch, Conditions, Precision, SampleInput
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.layers import FRAMES_PER_LATENT
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sampler import Ddim, DpmSolver, clip_noise
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.step_decoder import StepDecoder
from occlufacediff.models.windows import WINDOW_FRAMES, Blend, Overlap, Stretch, overlapping, stretches

#: Guidance weights (s_all, s_audio); None for one of them means 1 and 0.
Guidance = tuple[float | None, float | None]

#: Windows that are prepared at a time (82 s of picture each 64 windows at the usual hop); no setting, since it decides
#: where long clips are continued, and with that their result.
STRETCH_WINDOWS = 256


def sampler_of(solver: Literal["ddim", "dpmpp"], steps: int) -> Ddim | DpmSolver:
    """A sampler over the published schedule.

    Raises:
        ValueError: unknown solver or impossible number of steps.
    """
    schedule = NoiseSchedule.cosine()
    if solver == "ddim":
        return Ddim(schedule.respaced(str(steps)))
    if solver == "dpmpp":
        return DpmSolver(schedule, steps)
    raise ValueError(f"solver: got {solver!r}, needs 'ddim' or 'dpmpp'")


def branch_weights(guidance: Guidance | None) -> list[Branch]:
    """Passes of the network as (landmarks shown, sound heard, weight); those of weight 0 are left out."""
    if guidance is None:
        return [(True, True, 1.0)]
    s_all = 1.0 if guidance[0] is None else float(guidance[0])
    s_audio = 0.0 if guidance[1] is None else float(guidance[1])
    passes = [(True, True, s_all), (False, True, s_audio), (False, False, 1.0 - s_all - s_audio)]
    return [one for one in passes if one[2] != 0.0]


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
    """Motion (samples, T, M) of one clip; see ``sample_clips``."""
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
    """Sample the motion of many clips at once.

    Both models are used in evaluation mode and left in the mode they were in. Beside the inputs and the result, memory
    is bounded whatever the lengths: at most ``STRETCH_WINDOWS`` windows are prepared at a time, longer clips are
    continued stretch by stretch.

    Args:
        denoiser: on ``device``.
        prior: the motion prior whose latents the denoiser was trained on, on ``device``.
        clips: clips of any lengths.
        seed: of the noise, together with each clip's id and the sample's number.
        steps: network calls a window.
        solver: "dpmpp" for few steps, "ddim" with 100 steps as published.
        guidance: weights (s_all, s_audio); None for the plain conditional network.
        use_audio: false leaves the sound out.
        samples: motions a clip, with different noise.
        max_batch: windows (times samples and guidance passes) through the network at once; bounds the memory only.
        hop: frames between the beginnings of neighbouring windows; 64 sets them side by side, each sampled on its own,
            as published (`published_windows`).
        precision: "bf16" lets the network compute in bfloat16 where it may; solver and decoder stay in float32.
        device: where to compute.

    Returns:
        A motion (samples, T, M) a clip, float32 on the CPU.

    Raises:
        ValueError: shapes that do not fit together; the clip is named.
    """
    device = torch.device(device)
    modes = denoiser.training, prior.training
    denoiser.eval()
    prior.eval()
    try:
        conditions = Conditions(denoiser, branch_weights(guidance), use_audio=use_audio)
        for clip in clips:
            conditions.check(clip)
        apart = hop == WINDOW_FRAMES
        pieces = [published_windows.cut(clip) if apart else [clip] for clip in clips]
        rows = []
        for clip, parts in zip(clips, pieces, strict=True):
            layouts = [overlapping(part.lmk_2d.shape[0], hop=hop) for part in parts]
            shape = (sum(layout.latents for layout in layouts), prior.config.latent_dim)
            noise = torch.stack([clip_noise(seed, clip.clip_id, shape, sample) for sample in range(samples)]).to(device)
            shares = noise.split([layout.latents for layout in layouts], dim=1)
            for part, layout, share in zip(parts, layouts, shares, strict=True):
                rows.append(_Row(part, layout, share, torch.zeros_like(share)))
        sampler = sampler_of(solver, steps)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            numbers = torch.tensor(sampler.steps, device=device)
            decoder = denoiser.step_decoder(numbers, torch.bfloat16 if precision == "bf16" else torch.float32)
            for group in _groups(rows):
                _sample_group(group, conditions, decoder, sampler, max_batch)
        made = (_decode(prior, row, max_batch, hop) for row in rows)
        if not apart:
            return list(made)
        return [
            published_windows.together(list(islice(made, len(parts))), clip.lmk_2d.shape[0])
            for clip, parts in zip(clips, pieces, strict=True)
        ]
    finally:
        denoiser.train(modes[0])
        prior.train(modes[1])


@dataclass(frozen=True)
class _Row:
    """A clip's latents (samples, N, D): the noise they come from and, once settled, themselves."""

    clip: SampleInput
    layout: Overlap
    noise: Tensor
    latents: Tensor


def _groups(rows: Sequence[_Row]) -> Iterator[list[tuple[_Row, Stretch]]]:
    """All stretches in order, together as long as they are few windows and none continues another."""
    group: list[tuple[_Row, Stretch]] = []
    windows = 0
    for row in rows:
        for stretch in stretches(row.layout, STRETCH_WINDOWS):
            count = stretch.last - stretch.first
            if group and (stretch.known or windows + count > STRETCH_WINDOWS):
                yield group
                group, windows = [], 0
            group.append((row, stretch))
            windows += count
    if group:
        yield group


def _sample_group(
    group: Sequence[tuple[_Row, Stretch]],
    conditions: Conditions,
    decoder: StepDecoder,
    sampler: Ddim | DpmSolver,
    max_batch: int,
) -> None:
    """Sample the latents of stretches as one row and write them into their clips' rows."""
    noise = torch.cat([row.noise[:, part.start : part.stop] for row, part in group], dim=1)
    samples, length, device = noise.shape[0], noise.shape[1], noise.device
    known = torch.zeros(length, device=device)
    values = torch.zeros_like(noise)
    indices, windows, begin = [], [], 0
    for row, part in group:
        indices.append(row.layout.index()[part.first : part.last] + (begin - part.start))
        windows += [(row.clip, int(start)) for start in row.layout.starts[part.first : part.last]]
        known[begin : begin + part.known] = 1
        values[:, begin : begin + part.known] = row.latents[:, part.start : part.start + part.known]
        begin += part.stop - part.start
    index = torch.cat(indices).to(device)
    weights = group[0][0].layout.weights().to(device)
    branches = conditions.branches
    share = torch.tensor([weight for *_, weight in branches], device=device)[:, None, None, None, None]
    chunk = max(1, max_batch // (len(branches) * samples))
    prepared = [
        (index[at : at + chunk], conditions.prepare(windows[at : at + chunk], decoder, samples, device))
        for at in range(0, len(windows), chunk)
    ]

    def predict(x: Tensor, step: int) -> Tensor:
        whole = Blend(length, weights)
        for places, ready in prepared:
            noisy = x[:, places].expand(len(branches), -1, -1, -1, -1)
            clean = conditions.denoiser.denoise_prepared(noisy.flatten(0, 2), step, ready)
            whole.add((clean.reshape(noisy.shape) * share).sum(0), places)
        return whole.mean()

    inpaint = (known.expand(samples, -1), values) if any(part.known for _, part in group) else None
    settled = sampler.sample(predict, noise, inpaint=inpaint)
    begin = 0
    for row, part in group:
        row.latents[:, part.start : part.stop] = settled[:, begin : begin + part.stop - part.start]
        begin += part.stop - part.start


def _decode(prior: MotionPrior, row: _Row, max_batch: int, hop: int) -> Tensor:
    layout = row.layout
    motion = _in_windows(prior.decode, row.latents, layout, 1, max_batch)
    if prior.config.linear and hop < WINDOW_FRAMES:
        motion = _without_joints(prior, motion, hop, max_batch)
    return motion[:, : layout.frames].float().cpu()


def _without_joints(prior: MotionPrior, motion: Tensor, hop: int, max_batch: int) -> Tensor:
    """Motion (samples, T, M) without the jumps where latents meet.

    The straight path makes 8 frames of each latent alone, which need not go on where the ones before ended. Encoded and
    decoded once more with all latents moved by half their length, those joints lie inside of latents, where the prior
    knows no jumps; each frame is taken, by ``sin^2`` over its latent, from the decoding whose joints are far.
    """
    half = FRAMES_PER_LATENT // 2
    first, last = (end.expand(-1, half, -1) for end in (motion[:, :1], motion[:, -1:]))
    moved = torch.cat([first, motion, last], dim=1)
    layout = overlapping(moved.shape[1], hop=hop)
    again = _in_windows(lambda part: prior.decode(prior.encode(part)[0]), moved, layout, FRAMES_PER_LATENT, max_batch)
    place = torch.arange(motion.shape[1], device=motion.device) % FRAMES_PER_LATENT
    near = torch.sin((place + 0.5) / FRAMES_PER_LATENT * math.pi)[:, None] ** 2
    return near * motion + (1 - near) * again[:, half:-half]


def _in_windows(work: Callable[[Tensor], Tensor], rows: Tensor, layout: Overlap, unit: int, max_batch: int) -> Tensor:
    """Frames (samples, T, M) that ``work`` makes of windows of rows (samples, N * unit, C), blended."""
    samples = rows.shape[0]
    index, frames = layout.index(unit).to(rows.device), layout.index(FRAMES_PER_LATENT)
    whole = Blend(layout.padded_frames, layout.weights(FRAMES_PER_LATENT))
    chunk = max(1, max_batch // samples)
    for at in range(0, len(index), chunk):
        made = work(rows[:, index[at : at + chunk]].flatten(0, 1))
        whole.add(made.unflatten(0, (samples, -1)), frames[at : at + chunk])
    return whole.mean()
