"""Optimisations of sampling do not change the result: prepared steps, segments, shared branches, bfloat16."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.models import sample
from occlufacediff.models.audio_encoder import Wav2Vec2Sizes
from occlufacediff.models.conditions import Conditions, SampleInput
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig, PreparedWindows
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.published_windows import published_layout
from occlufacediff.models.sample import sample_clips
from occlufacediff.models.sampler import clip_noise, log_snr_steps
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.windows import OverlapAdd, split_segments, window_layout
from occlufacediff.speech.feature_columns import padding_row

ROOT = Path(__file__).resolve().parents[2]
MOTION = 9
SMALL = {
    "latent_dim": 16,
    "landmark_width": 16,
    "audio_width": 16,
    "encoder_layers": 1,
    "encoder_feed_forward": 32,
    "decoder_width": 32,
    "decoder_layers": 2,
    "decoder_feed_forward": 32,
}
WAVES = Wav2Vec2Sizes(
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=2,
)


def network(base: DenoiserConfig, **changes: object) -> Denoiser:
    """A small untrained network with perturbed weights, so that FiLM is not close to the identity."""
    torch.manual_seed(0)
    denoiser = Denoiser(dataclasses.replace(base, **{**SMALL, "wav2vec2": WAVES, **changes})).eval()
    for parameter in denoiser.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return denoiser


def prior() -> MotionPrior:
    torch.manual_seed(1)
    return MotionPrior(MotionPriorConfig(motion_dim=MOTION, latent_dim=16, width=32, heads=4, feed_forward=32)).eval()


def clip(name: str, frames: int, denoiser: Denoiser) -> SampleInput:
    draw = torch.Generator().manual_seed(frames)
    waveform = denoiser.config.audio == "wav2vec2"
    return SampleInput(
        clip_id=name,
        lmk_2d=torch.randn(frames, 468, 2, generator=draw) * 0.3,
        lmk_mask=(torch.rand(frames, 468, generator=draw) > 0.4).float(),
        audio=torch.randn(*((frames * 640,) if waveform else (frames * 4, 80)), generator=draw),
    )


PUBLISHED, COMPACT = DenoiserConfig.published(), DenoiserConfig.compact()
KINDS = {
    "published": (PUBLISHED, {}),
    "published, causal": (PUBLISHED, {"causal": True}),
    "compact": (COMPACT, {}),
    "compact, cross_span 2": (COMPACT, {"cross_span": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_prepared_steps_equal_the_network(kind: str) -> None:
    base, changes = KINDS[kind]
    denoiser = network(base, **changes)
    memory, x = torch.randn(3, 8, 32), torch.randn(3, 8, 16)
    steps = torch.tensor([999, 500, 37, 0])
    prepared = PreparedWindows(cross=denoiser.memory_terms(memory), decoder=denoiser.step_decoder(steps))
    for index, step in enumerate(steps):
        want = denoiser.denoise(x, step.expand(3), memory)
        torch.testing.assert_close(denoiser.denoise_prepared(x, index, prepared), want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("base", [PUBLISHED, COMPACT], ids=["published", "compact"])
@pytest.mark.parametrize("use_audio", [True, False])
@torch.no_grad()
def test_shared_parts_of_the_branches_equal_separate_passes(base: DenoiserConfig, use_audio: bool) -> None:
    denoiser = network(base)
    one = clip("a", 100, denoiser)
    branches = sample.guidance_branches((2.0, 0.5))
    conditions = Conditions(denoiser, branches, use_audio=use_audio)
    layout = window_layout(100)
    decoder = denoiser.step_decoder(torch.tensor([5]))
    windows = [(one, int(start)) for start in layout.starts]
    for _ in range(2):  # the second time with cached features
        prepared = conditions.prepare(windows, decoder, 1, torch.device("cpu"))
    audio_rows = one.audio.shape[0] // 100
    memories = []
    for with_landmarks, with_audio, _ in branches:
        for _, start in windows:
            frames = slice(start * 8, start * 8 + 64)
            missing = 64 - one.lmk_2d[frames].shape[0]
            lmk, mask = (
                torch.cat([v, v[-1:].repeat(missing, *[1] * (v.dim() - 1))])[None]
                for v in (one.lmk_2d[frames], one.lmk_mask[frames])
            )
            audio = one.audio[start * 8 * audio_rows : (start * 8 + 64) * audio_rows]
            after = torch.zeros(1) if audio.dim() == 1 else torch.from_numpy(padding_row(one.audio.numpy()))[None]
            end = after.expand(missing * audio_rows, *audio.shape[1:])
            keep = torch.tensor([with_audio and use_audio])
            memories.append(denoiser.condition(lmk, mask * with_landmarks, torch.cat([audio, end])[None], keep))
    want = denoiser.memory_terms(torch.cat(memories))
    for got_layer, want_layer in zip(prepared.cross, want, strict=True):
        for got, wanted in zip(got_layer, want_layer, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@settings(max_examples=80, deadline=None)
@given(frames=st.integers(1, 3000), hop=st.sampled_from([8, 24, 32, 64]), max_windows=st.integers(2, 20))
def test_segments_cover_every_latent_in_order(frames: int, hop: int, max_windows: int) -> None:
    layout = window_layout(frames, hop=hop)
    parts = split_segments(layout, max_windows)
    assert parts[0].first == parts[0].start == parts[0].fixed == 0
    assert parts[-1].last == len(layout.starts) and parts[-1].stop == layout.latents
    for before, part in itertools.pairwise(parts):
        assert part.first == before.last - 1 and part.last - part.first <= max_windows
        # Fixed latents end where the first new window starts, inside the previous segment.
        assert part.fixed > 0 and part.start + part.fixed == layout.starts[before.last] <= before.stop
    with pytest.raises(ValueError, match="max_windows: got 1"):
        split_segments(layout, 1)


@settings(max_examples=60, deadline=None)
@given(total=st.integers(10, 1000), share=st.floats(0.001, 1))
def test_log_snr_steps_are_distinct_and_reach_both_ends(total: int, share: float) -> None:
    steps = max(1, round(share * total))
    indices = log_snr_steps(NoiseSchedule.cosine(total).alphas_cumprod.numpy(), steps)
    assert len(indices) == steps and indices[0] == total - 1
    assert (np.diff(indices) < 0).all() and indices[-1] >= 0
    assert steps == 1 or indices[-1] == 0


def test_latent_boundaries_are_smoothed_with_a_linear_path() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(MotionPriorConfig.compact(MOTION), latent_dim=16)
    linear = MotionPrior(config).eval()
    # Principal components of smooth motion are smooth within 8 frames.
    time = torch.arange(64_000) / 25
    waves = torch.stack([torch.sin((1 + 0.5 * k) * time + k) for k in range(MOTION)], dim=-1)
    blocks = waves.unflatten(0, (-1, 8)).flatten(1)
    _, spread, basis = torch.linalg.svd(blocks, full_matrices=False)
    linear.set_linear_path(basis[:16], spread[:16] / len(blocks) ** 0.5)
    denoiser = network(COMPACT)
    motion = sample_clips(denoiser, linear, [clip("a", 640, denoiser)], seed=0, steps=5)[0][0]
    rough = sample_clips(denoiser, linear, [clip("a", 640, denoiser)], seed=0, steps=5, hop=64)[0][0]

    def boundary_jerk(values: torch.Tensor) -> float:
        jerk = values.diff(n=3, dim=0).norm(dim=-1)[8:-8]
        at = torch.arange(8, 8 + len(jerk)) % 8 >= 5
        return (jerk[at].mean() / jerk[~at].mean()).item()

    assert boundary_jerk(motion) < 0.5 * boundary_jerk(rough)


def test_overlap_add_in_batches_equals_overlap_add_at_once() -> None:
    layout = window_layout(203)
    index, weights = layout.index(), layout.weights()
    parts = torch.randn(2, len(index), layout.window, 3)
    batched, at_once = (OverlapAdd(layout.latents, weights) for _ in range(2))
    with pytest.raises(ValueError, match="no window was added"):
        batched.mean()
    for number in range(len(index)):
        batched.add(parts[:, number : number + 1], index[number : number + 1])
    at_once.add(parts, index)
    torch.testing.assert_close(batched.mean(), at_once.mean())


@pytest.mark.parametrize("solver", ["ddim", "dpmpp"])
@pytest.mark.parametrize("guidance", [None, (1.5, 0.5)])
def test_long_clips_do_not_depend_on_the_batch(
    monkeypatch: pytest.MonkeyPatch, solver: str, guidance: tuple[float, float] | None
) -> None:
    monkeypatch.setattr(sample, "MAX_SEGMENT_WINDOWS", 4)
    models = network(COMPACT), prior()
    clips = [clip(name, frames, models[0]) for name, frames in (("a", 500), ("b", 90), ("c", 333))]
    options = {"seed": 5, "steps": 4, "solver": solver, "guidance": guidance, "samples": 2}
    batched = sample_clips(*models, clips, **options)
    for one, motion in zip(clips, batched, strict=True):
        assert motion.shape == (2, len(one.lmk_2d), MOTION)
        for batch in (1, 7):
            alone = sample_clips(*models, [one], max_batch=batch, **options)[0]
            torch.testing.assert_close(alone, motion, atol=1e-4, rtol=0)


def test_a_segment_continues_the_previous_one(monkeypatch: pytest.MonkeyPatch) -> None:
    models = network(COMPACT), prior()
    long = clip("a", 640, models[0])
    at_once = sample_clips(*models, [long], seed=0, steps=6)[0]
    monkeypatch.setattr(sample, "MAX_SEGMENT_WINDOWS", 8)
    piecewise = sample_clips(*models, [long], seed=0, steps=6)[0]
    # The first segment does not depend on the second; far from its end, both results are equal.
    torch.testing.assert_close(piecewise[:, :160], at_once[:, :160], atol=2e-2, rtol=0)
    jerk = piecewise.diff(n=3, dim=1).norm(dim=-1)[0]
    layout = window_layout(640)
    borders = [int(part.start + part.fixed) * 8 for part in split_segments(layout, 8)[1:]]
    assert len(borders) >= 2
    at_border = torch.stack([jerk[frame - 3 : frame].mean() for frame in borders]).mean()
    latents = [jerk[frame - 3 : frame].mean() for frame in range(64, 576, 8) if frame not in borders]
    assert at_border <= 1.2 * torch.stack(latents).mean()


def test_only_a_bounded_number_of_windows_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_SEGMENT_WINDOWS", 6)
    prepared: list[int] = []
    prepare = Conditions.prepare

    def counted(self: Conditions, windows: list[tuple[SampleInput, int]], *rest: object) -> object:
        prepared.append(len(windows))
        return prepare(self, windows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Conditions, "prepare", counted)
    models = network(COMPACT), prior()
    clips = [clip("a", 700, models[0]), clip("b", 64, models[0]), clip("c", 64, models[0])]
    sample_clips(*models, clips, seed=0, steps=2)
    assert max(prepared) <= 6 and sum(prepared) >= 21 + 2


@torch.no_grad()
def test_bfloat16_stays_near_float32() -> None:
    models = network(COMPACT), prior()
    one = clip("a", 150, models[0])
    exact = sample_clips(*models, [one], seed=0, steps=5)[0]
    rough = sample_clips(*models, [one], seed=0, steps=5, precision="bf16")[0]
    assert rough.dtype == torch.float32
    difference = (rough - exact).abs().max().item()
    assert 0 < difference < 0.1 * exact.abs().max().item()


@pytest.mark.parametrize("frames", [40, 64, 100, 128, 150])
def test_windows_side_by_side_are_sampled_independently(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    models = network(COMPACT), prior()
    one = clip("a", frames, models[0])
    whole = sample_clips(*models, [one], seed=0, steps=4, hop=64)[0]
    assert whole.shape[1] == frames and np.isfinite(whole.numpy()).all()
    layout, end = published_layout(frames), 0
    noise = clip_noise(0, "a", (8 * len(layout), models[1].config.latent_dim))
    for number, (first, last, copies) in enumerate(layout):
        lmk, mask = one.lmk_2d[first : last + 1], one.lmk_mask[first : last + 1]
        audio = one.audio[4 * first : 4 * (last + 1)]
        window = SampleInput(
            "a",
            torch.cat([lmk[:1].expand(copies, -1, -1), lmk]),
            torch.cat([mask[:1].expand(copies, -1), mask]),
            torch.cat([*[audio[:4]] * copies, audio]),
        )
        monkeypatch.setattr(sample, "clip_noise", lambda *_, at=8 * number: noise[at : at + 8])
        alone = sample_clips(*models, [window], seed=0, steps=4)[0]
        torch.testing.assert_close(whole[:, end : last + 1], alone[:, end - last - 1 :], atol=1e-5, rtol=0)
        end = last + 1
    assert end == frames


def test_the_speed_script_prints_a_json_object() -> None:
    command = [sys.executable, "benchmarks/sampling.py", "--quick", "--device", "cpu"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    for kind in ("unguided", "guided"):
        assert result["cpu"][kind]["largest_difference"] <= 1e-4
        assert result["cpu"][kind]["ratio"] > 0
