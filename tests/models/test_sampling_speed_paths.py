"""The fast ways of sampling change nothing but time and memory: prepared steps, stretches, branches, bfloat16."""

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
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.sample import sample_clips
from occlufacediff.models.sampler import clip_noise, few_steps
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.models.windows import Blend, blend, overlapping, published_windows, stretches
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
    """A small untrained network, its terms of the step not near nothing as after initialisation."""
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
    "compact, wider sight": (COMPACT, {"cross_span": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_prepared_steps_equal_the_network(kind: str) -> None:
    base, changes = KINDS[kind]
    denoiser = network(base, **changes)
    memory, x = torch.randn(3, 8, 32), torch.randn(3, 8, 16)
    steps = torch.tensor([999, 500, 37, 0])
    prepared = denoiser.prepare(memory, steps)
    for index, step in enumerate(steps):
        want = denoiser.denoise(x, step.expand(3), memory)
        torch.testing.assert_close(denoiser.denoise_prepared(x, index, prepared), want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("base", [PUBLISHED, COMPACT], ids=["published", "compact"])
@pytest.mark.parametrize("use_audio", [True, False])
@torch.no_grad()
def test_shared_parts_of_the_branches_equal_separate_passes(base: DenoiserConfig, use_audio: bool) -> None:
    denoiser = network(base)
    one = clip("a", 100, denoiser)
    branches = sample.branch_weights((2.0, 0.5))
    conditions = Conditions(denoiser, branches, use_audio=use_audio)
    layout = overlapping(100)
    decoder = denoiser.step_decoder(torch.tensor([5]))
    windows = [(one, int(start)) for start in layout.starts]
    for _ in range(2):  # the second time from what was kept
        prepared = conditions.prepare(windows, decoder, 1, torch.device("cpu"))
    audio_rows = one.audio.shape[0] // 100
    memories = []
    for shown, heard, _ in branches:
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
            keep = torch.tensor([heard and use_audio])
            memories.append(denoiser.condition(lmk, mask * shown, torch.cat([audio, end])[None], keep))
    want = denoiser.memory_terms(torch.cat(memories))
    for got_layer, want_layer in zip(prepared.cross, want, strict=True):
        for got, wanted in zip(got_layer, want_layer, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@settings(max_examples=80, deadline=None)
@given(frames=st.integers(1, 3000), hop=st.sampled_from([8, 24, 32, 64]), most=st.integers(2, 20))
def test_stretches_settle_every_latent_in_order(frames: int, hop: int, most: int) -> None:
    layout = overlapping(frames, hop=hop)
    parts = stretches(layout, most)
    assert parts[0].first == parts[0].start == parts[0].known == 0
    assert parts[-1].last == len(layout.starts) and parts[-1].stop == layout.latents
    for before, part in itertools.pairwise(parts):
        assert part.first == before.last - 1 and part.last - part.first <= most
        # what is kept ends where the first window that is new begins, inside of what was settled
        assert part.known > 0 and part.start + part.known == layout.starts[before.last] <= before.stop
    with pytest.raises(ValueError, match="most: got 1"):
        stretches(layout, 1)


@settings(max_examples=60, deadline=None)
@given(total=st.integers(10, 1000), share=st.floats(0.001, 1))
def test_few_steps_are_distinct_and_reach_both_ends(total: int, share: float) -> None:
    steps = max(1, round(share * total))
    places = few_steps(NoiseSchedule.cosine(total).alphas_cumprod.numpy(), steps)
    assert len(places) == steps and places[0] == total - 1
    assert (np.diff(places) < 0).all() and places[-1] >= 0
    assert steps == 1 or places[-1] == 0


def test_joints_of_latents_are_smoothed_where_each_latent_stands_alone() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(MotionPriorConfig.compact(MOTION), latent_dim=16)
    straight = MotionPrior(config).eval()
    # principal components of smooth motion know no jumps within 8 frames
    time = torch.arange(64_000) / 25
    waves = torch.stack([torch.sin((1 + 0.5 * k) * time + k) for k in range(MOTION)], dim=-1)
    blocks = waves.unflatten(0, (-1, 8)).flatten(1)
    _, spread, basis = torch.linalg.svd(blocks, full_matrices=False)
    straight.set_linear_path(basis[:16], spread[:16] / len(blocks) ** 0.5)
    denoiser = network(COMPACT)
    motion = sample_clips(denoiser, straight, [clip("a", 640, denoiser)], seed=0, steps=5)[0][0]
    rough = sample_clips(denoiser, straight, [clip("a", 640, denoiser)], seed=0, steps=5, hop=64)[0][0]

    def joint(values: torch.Tensor) -> float:
        jerk = values.diff(n=3, dim=0).norm(dim=-1)[8:-8]
        at = torch.arange(8, 8 + len(jerk)) % 8 >= 5
        return (jerk[at].mean() / jerk[~at].mean()).item()

    assert joint(motion) < 0.5 * joint(rough)


def test_blending_in_batches_equals_blending_at_once() -> None:
    layout = overlapping(203)
    index, weights = layout.index(), layout.weights()
    parts = torch.randn(2, len(index), layout.window, 3)
    whole = Blend(layout.latents, weights)
    with pytest.raises(ValueError, match="nothing was added"):
        whole.mean()
    for number in range(len(index)):
        whole.add(parts[:, number : number + 1], index[number : number + 1])
    torch.testing.assert_close(whole.mean(), blend(parts, index, weights, layout.latents))


@pytest.mark.parametrize("solver", ["ddim", "dpmpp"])
@pytest.mark.parametrize("guidance", [None, (1.5, 0.5)])
def test_long_clips_do_not_depend_on_the_batch_either(
    monkeypatch: pytest.MonkeyPatch, solver: str, guidance: tuple[float, float] | None
) -> None:
    monkeypatch.setattr(sample, "STRETCH_WINDOWS", 4)
    models = network(COMPACT), prior()
    clips = [clip(name, frames, models[0]) for name, frames in (("a", 500), ("b", 90), ("c", 333))]
    options = {"seed": 5, "steps": 4, "solver": solver, "guidance": guidance, "samples": 2}
    together = sample_clips(*models, clips, **options)
    for one, motion in zip(clips, together, strict=True):
        assert motion.shape == (2, len(one.lmk_2d), MOTION)
        for batch in (1, 7):
            alone = sample_clips(*models, [one], max_batch=batch, **options)[0]
            torch.testing.assert_close(alone, motion, atol=1e-4, rtol=0)


def test_a_stretch_goes_on_from_what_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    models = network(COMPACT), prior()
    long = clip("a", 640, models[0])
    at_once = sample_clips(*models, [long], seed=0, steps=6)[0]
    monkeypatch.setattr(sample, "STRETCH_WINDOWS", 8)
    piecewise = sample_clips(*models, [long], seed=0, steps=6)[0]
    # the first stretch knows nothing of a second; far from its end they are the same clip
    torch.testing.assert_close(piecewise[:, :160], at_once[:, :160], atol=2e-2, rtol=0)
    jerk = piecewise.diff(n=3, dim=1).norm(dim=-1)[0]
    layout = overlapping(640)
    borders = [int(part.start + part.known) * 8 for part in stretches(layout, 8)[1:]]
    assert len(borders) >= 2
    at_border = torch.stack([jerk[place - 3 : place].mean() for place in borders]).mean()
    latents = [jerk[place - 3 : place].mean() for place in range(64, 576, 8) if place not in borders]
    assert at_border <= 1.2 * torch.stack(latents).mean()


def test_only_a_bounded_number_of_windows_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "STRETCH_WINDOWS", 6)
    held: list[int] = []
    prepare = Conditions.prepare

    def counted(self: Conditions, windows: list[tuple[SampleInput, int]], *rest: object) -> object:
        held.append(len(windows))
        return prepare(self, windows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Conditions, "prepare", counted)
    models = network(COMPACT), prior()
    clips = [clip("a", 700, models[0]), clip("b", 64, models[0]), clip("c", 64, models[0])]
    sample_clips(*models, clips, seed=0, steps=2)
    assert max(held) <= 6 and sum(held) >= 21 + 2


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
def test_windows_side_by_side_are_sampled_each_on_its_own(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    models = network(COMPACT), prior()
    one = clip("a", frames, models[0])
    whole = sample_clips(*models, [one], seed=0, steps=4, hop=64)[0]
    assert whole.shape[1] == frames and np.isfinite(whole.numpy()).all()
    layout, given = published_windows(frames), 0
    noise = clip_noise(0, "a", (8 * len(layout), models[1].config.latent_dim))
    for number, (first, last, copies) in enumerate(layout):
        lmk, mask = one.lmk_2d[first : last + 1], one.lmk_mask[first : last + 1]
        sound = one.audio[4 * first : 4 * (last + 1)]
        window = SampleInput(
            "a",
            torch.cat([lmk[:1].expand(copies, -1, -1), lmk]),
            torch.cat([mask[:1].expand(copies, -1), mask]),
            torch.cat([*[sound[:4]] * copies, sound]),
        )
        monkeypatch.setattr(sample, "clip_noise", lambda *_, at=8 * number: noise[at : at + 8])
        alone = sample_clips(*models, [window], seed=0, steps=4)[0]
        torch.testing.assert_close(whole[:, given : last + 1], alone[:, given - last - 1 :], atol=1e-5, rtol=0)
        given = last + 1
    assert given == frames


def test_the_benchmark_ends_in_one_json_object() -> None:
    command = [sys.executable, "benchmarks/sampling.py", "--quick", "--device", "cpu"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    for kind in ("unguided", "guided"):
        assert result["cpu"][kind]["largest_difference"] <= 1e-4
        assert result["cpu"][kind]["ratio"] > 0
