"""From visible landmarks and sound to motion: all windows of all clips as one batch, seams blended at every step.

The diffusion runs on a clip's whole row of latents. At each step the overlapping windows' predictions of the clean
latents are blended into one row (weights: sin^2 over each window), so that neighbouring windows agree from the
first step on. The decoder's windows are blended in the same way, frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from occlufacediff.models.audio_encoder import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.models.denoiser import Denoiser, Prepared
from occlufacediff.models.layers import FRAMES_PER_LATENT
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sampler import Ddim, DpmSolver, clip_noise
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.windows import WINDOW_FRAMES, Overlap, blend, overlapping

#: Guidance weights (s_all, s_audio); None for one of them means 1 and 0.
Guidance = tuple[float | None, float | None]


@dataclass(frozen=True)
class SampleInput:
    """What is known of a clip.

    Attributes:
        clip_id: names the noise; the same clip gets the same noise in any batch.
        lmk_2d: (T, L, 2) landmarks in crop coordinates; NaN counts as hidden.
        lmk_mask: (T, L), 1 visible, 0 hidden.
        audio: (T * 640,) waveform normalised over the clip, or (T * 4, bands) log-mel, as the denoiser takes.
    """

    clip_id: str
    lmk_2d: Tensor
    lmk_mask: Tensor
    audio: Tensor


def normalised_waveform(waveform: Tensor) -> Tensor:
    """As wav2vec2 expects its input, over the whole clip (N,): ``(x - mean) / sqrt(var + 1e-7)``."""
    return (waveform - waveform.mean()) / torch.sqrt(waveform.var(unbiased=False) + 1e-7)


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


def branch_weights(guidance: Guidance | None) -> list[tuple[bool, bool, float]]:
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
    device: torch.device | str = "cpu",
) -> list[Tensor]:
    """Sample the motion of many clips at once.

    Both models are used in evaluation mode and left in the mode they were in.

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
        hop: frames between the beginnings of neighbouring windows.
        device: where to compute.

    Returns:
        A motion (samples, T, M) a clip, float32 on the CPU.

    Raises:
        ValueError: shapes that do not fit together; the clip is named.
    """
    if not clips:
        return []
    modes = denoiser.training, prior.training
    denoiser.eval()
    prior.eval()
    try:
        sampler = sampler_of(solver, steps)
        layouts = [overlapping(clip.lmk_2d.shape[0], hop=hop) for clip in clips]
        offsets = torch.tensor([0, *(layout.latents for layout in layouts)]).cumsum(0)
        index = torch.cat([layout.index() + start for layout, start in zip(layouts, offsets, strict=False)])
        passes = branch_weights(guidance)
        chunk = max(1, max_batch // (len(passes) * samples))
        prepared = _prepare(denoiser, clips, layouts, sampler.steps, passes, use_audio, chunk, samples, device)
        noise = torch.cat(
            [
                torch.stack(
                    [clip_noise(seed, c.clip_id, (lay.latents, prior.config.latent_dim), s) for s in range(samples)]
                )
                for c, lay in zip(clips, layouts, strict=True)
            ],
            dim=1,
        ).to(device)
        weights = layouts[0].weights()
        share = torch.tensor([weight for *_, weight in passes], device=device)[:, None, None, None, None]

        def predict(x: Tensor, step: int) -> Tensor:
            parts = []
            for place, ready in enumerate(prepared):
                rows = index[place * chunk : (place + 1) * chunk].to(device)
                windows = x[:, rows].expand(len(passes), -1, -1, -1, -1)
                clean = denoiser.denoise_prepared(windows.reshape(-1, *windows.shape[3:]), step, ready)
                parts.append((clean.reshape(windows.shape) * share).sum(0))
            return blend(torch.cat(parts, dim=1), index, weights, x.shape[1])

        latents = sampler.sample(predict, noise)
        return [
            _decode(prior, latents[:, start : start + layout.latents], layout, max_batch)
            for layout, start in zip(layouts, offsets.tolist(), strict=False)
        ]
    finally:
        denoiser.train(modes[0])
        prior.train(modes[1])


def _noise(seed: int, clip_id: str, shape: tuple[int, int], samples: int) -> Tensor:
    return torch.stack([clip_noise(seed, clip_id, shape, sample) for sample in range(samples)])


def _prepare(
    denoiser: Denoiser,
    clips: Sequence[SampleInput],
    layouts: Sequence[Overlap],
    steps: list[int],
    passes: list[tuple[bool, bool, float]],
    use_audio: bool,
    chunk: int,
    samples: int,
    device: torch.device | str,
) -> list[Prepared]:
    """Terms of all windows, ``chunk`` windows each, rows ordered pass, sample, window."""
    rows_a_frame = SAMPLES_PER_FRAME if denoiser.config.audio == "wav2vec2" else MEL_ROWS_PER_FRAME
    pieces: list[tuple[int, Tensor]] = [
        (number, start) for number, layout in enumerate(layouts) for start in layout.starts
    ]
    padded: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
    step_numbers = torch.tensor(steps, device=device)
    prepared = []
    for begin in range(0, len(pieces), chunk):
        now = pieces[begin : begin + chunk]
        needed = {number for number, _ in now}
        padded = {
            number: padded.get(number) or _padded(clips[number], layouts[number], rows_a_frame) for number in needed
        }
        cut = [_cut(*padded[number], int(start), layouts[number].window, rows_a_frame) for number, start in now]
        lmk, mask, audio = (torch.stack(parts).to(device) for parts in zip(*cut, strict=True))
        memories = []
        for shown, heard, _ in passes:
            keep = torch.full((len(now),), heard and use_audio, device=device)
            memories.append(denoiser.condition(lmk, mask if shown else torch.zeros_like(mask), audio, keep))
        memory = torch.stack(memories)[:, None].expand(-1, samples, -1, -1, -1).flatten(0, 2)
        prepared.append(denoiser.prepare(memory, step_numbers))
    return prepared


def _padded(clip: SampleInput, layout: Overlap, rows_a_frame: int) -> tuple[Tensor, Tensor, Tensor]:
    frames = clip.lmk_2d.shape[0]
    if clip.lmk_mask.shape != clip.lmk_2d.shape[:2]:
        raise ValueError(
            f"{clip.clip_id}: lmk_mask is {tuple(clip.lmk_mask.shape)}, needs {tuple(clip.lmk_2d.shape[:2])} as lmk_2d"
        )
    if clip.audio.shape[0] != frames * rows_a_frame:
        raise ValueError(
            f"{clip.clip_id}: audio has {clip.audio.shape[0]} rows for {frames} frames, needs {frames * rows_a_frame}"
        )
    lmk = clip.lmk_2d.float()
    seen = clip.lmk_mask.float() * torch.isfinite(lmk).all(dim=-1)
    audio = clip.audio.float()
    missing = layout.padded_frames - frames
    if audio.dim() == 1:
        audio = torch.cat([audio, audio.new_zeros(missing * rows_a_frame)])
    else:
        audio = layout.pad(audio, FRAMES_PER_LATENT * rows_a_frame)
    return layout.pad(torch.nan_to_num(lmk)), layout.pad(seen), audio


def _cut(
    lmk: Tensor, mask: Tensor, audio: Tensor, start: int, window: int, rows_a_frame: int
) -> tuple[Tensor, Tensor, Tensor]:
    frames = slice(start * FRAMES_PER_LATENT, (start + window) * FRAMES_PER_LATENT)
    rows = slice(frames.start * rows_a_frame, frames.stop * rows_a_frame)
    return lmk[frames], mask[frames], audio[rows]


def _decode(prior: MotionPrior, latents: Tensor, layout: Overlap, max_batch: int) -> Tensor:
    windows = latents[:, layout.index().to(latents.device)]
    samples, count = windows.shape[:2]
    motion = torch.cat([prior.decode(part) for part in windows.flatten(0, 1).split(max_batch)])
    index, weights = layout.index(FRAMES_PER_LATENT), layout.weights(FRAMES_PER_LATENT)
    whole = blend(motion.unflatten(0, (samples, count)), index, weights, layout.padded_frames)
    return whole[:, : layout.frames].float().cpu()
