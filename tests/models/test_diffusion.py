"""Schedule and samplers against the parity numbers, and accuracy of the few-step solver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rule import fill
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.models.denoiser import Denoiser, PreparedWindows
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.published_names import published_denoiser_name, published_prior_name
from occlufacediff.models.sampler import Ddim, DpmSolver, clip_noise
from occlufacediff.models.schedule import NoiseSchedule, spaced_steps

Arrays = dict[str, torch.Tensor]


def arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}


def test_schedule(goldens: Path) -> None:
    want = arrays(goldens / "schedule.npz")
    full = NoiseSchedule.cosine()
    near = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(full.betas, want["betas"], **near)
    torch.testing.assert_close(full.alphas_cumprod, want["alphas_cumprod"], **near)
    torch.testing.assert_close(full.posterior_variance, want["posterior_variance_1000"], **near)
    np.testing.assert_array_equal(spaced_steps(1000, "100"), want["respaced_100"])
    np.testing.assert_array_equal(spaced_steps(1000, "ddim100"), want["respaced_ddim100"])
    np.testing.assert_array_equal(spaced_steps(300, "10,15,20"), want["respaced_10_15_20_of_300"])
    respaced = full.respaced("100")
    assert torch.equal(respaced.timestep_map, want["timestep_map"])
    for name in (
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
    ):
        torch.testing.assert_close(getattr(respaced, name), want[f"{name}_100"], **near)


@pytest.mark.parametrize("counts", ["0", "1001", "ddim999", "600,1"])
def test_impossible_steps_raise(counts: str) -> None:
    with pytest.raises(ValueError, match="steps"):
        spaced_steps(1000, counts)


def toy_network(steps: list[int]):
    def predict(x: torch.Tensor, index: int) -> torch.Tensor:
        return 0.5 * torch.tanh(x) + 0.1 * steps[index] / 1000

    return predict


def test_ddim_with_a_toy_network(goldens: Path) -> None:
    want = arrays(goldens / "ddim_toy.npz")
    schedule = NoiseSchedule.cosine().respaced("100")
    ddim = Ddim(schedule)
    assert ddim.steps == want["model_t_sequence"].tolist()
    samples: dict[int, torch.Tensor] = {}
    final = ddim.sample(toy_network(ddim.steps), want["noise"], watch=samples.__setitem__)
    for row, index in enumerate(want["traj_idx"].tolist()):
        assert (samples[index] - want["traj"][row]).abs().max() <= 1e-5
    assert torch.equal(final, samples[99])
    clipped = ddim.sample(toy_network(ddim.steps), want["noise"], clip=1.0)
    assert (clipped - want["final_clip"]).abs().max() <= 1e-5
    painted = ddim.sample(
        toy_network(ddim.steps), want["noise"], inpaint=(want["inpaint_mask"], want["inpaint_motion"])
    )
    assert (painted - want["final_inpaint"]).abs().max() <= 1e-5
    noisy = schedule.add_noise(want["x0"], want["t"], want["noise_q"])
    assert (noisy - want["x_t"]).abs().max() <= 1e-5
    mean, variance, log_variance = schedule.posterior(want["x0"], noisy, want["t"])
    assert (mean - want["post_mean"]).abs().max() <= 1e-5
    torch.testing.assert_close(variance, want["post_var"])
    torch.testing.assert_close(log_variance, want["post_logvar"])


@torch.no_grad()
def test_ddim_with_the_denoiser(goldens: Path) -> None:
    from test_parity import small_config

    want = arrays(goldens / "ddim_denoiser.npz")
    inputs = arrays(goldens / "denoiser_inputs.npz")
    mask = torch.from_numpy(np.unpackbits(inputs["lmk_mask"].numpy(), axis=-1)[:1, ..., :468]).float()
    lmk, audio = inputs["lmk_2d"][:1], inputs["audio_input"][:1]
    denoiser = Denoiser(small_config(goldens))
    fill(denoiser, published_denoiser_name)
    prior = MotionPrior(MotionPriorConfig.published())
    fill(prior, published_prior_name)
    ddim = Ddim(NoiseSchedule.cosine().respaced("100"))
    no_landmarks = torch.zeros_like(mask)
    memory = torch.cat(
        [
            denoiser.condition(lmk, mask, audio),
            denoiser.condition(lmk, no_landmarks, audio),
            denoiser.condition(lmk, no_landmarks, audio, torch.zeros(1, dtype=torch.bool)),
        ]
    )
    decoder = denoiser.step_decoder(torch.tensor(ddim.steps))
    prepared = PreparedWindows(cross=denoiser.memory_terms(memory), decoder=decoder)
    s_all, s_audio = want["cfg_scale_all"].item(), want["cfg_scale_audio"].item()
    weights = {"traj": (1.0, 0.0, 0.0), "traj_cfg": (s_all, s_audio, 1 - s_all - s_audio)}
    for name, (full, audio_only, nothing) in weights.items():

        def predict(x: torch.Tensor, index: int, weights: tuple[float, ...] = (full, audio_only, nothing)):
            branches = denoiser.denoise_prepared(x.expand(3, -1, -1), index, prepared)
            return sum(weight * branch for weight, branch in zip(weights, branches.split(1), strict=True))

        samples: dict[int, torch.Tensor] = {}
        final = ddim.sample(predict, want["noise"], watch=samples.__setitem__)
        for row, index in enumerate(want["traj_idx"].tolist()):
            assert (samples[index] - want[name][row]).abs().max() <= 1e-4
        decoded = want["decoded" if name == "traj" else "decoded_cfg"]
        assert (prior.decode(final) - decoded).abs().max() <= 1e-4


def test_the_second_order_solver_is_accurate_with_few_steps() -> None:
    # The exact posterior mean of a two-point mixture: a curved path with a known limit.
    schedule = NoiseSchedule.cosine()
    kept = schedule.alphas_cumprod

    def posterior_mean(steps: list[int]):
        def predict(x: torch.Tensor, index: int) -> torch.Tensor:
            alpha, variance = kept[steps[index]].sqrt(), 1 - kept[steps[index]] + 0.1 * kept[steps[index]]
            pull = torch.tanh(alpha * x / variance)
            gain = 0.1 * alpha / variance
            return pull + gain * (x - alpha * pull)

        return predict

    noise = clip_noise(0, "mixture", (64, 4, 4)).double()
    exact = Ddim(schedule)
    truth = exact.sample(posterior_mean(exact.steps), noise)
    errors = {}
    for steps in (10, 20, 50):
        dpm = DpmSolver(schedule, steps)
        assert len(dpm.steps) == steps
        ddim = Ddim(schedule.respaced(str(steps)))
        errors[steps] = (
            (dpm.sample(posterior_mean(dpm.steps), noise) - truth).abs().mean().item(),
            (ddim.sample(posterior_mean(ddim.steps), noise) - truth).abs().mean().item(),
        )
    assert errors[50][0] < errors[20][0] < errors[10][0] < 0.1
    assert errors[20][0] < errors[20][1] and errors[10][0] < errors[10][1]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), clip=st.text(max_size=20), short=st.integers(1, 20), more=st.integers(0, 20))
def test_noise_depends_on_seed_clip_and_sample(seed: int, clip: str, short: int, more: int) -> None:
    long = clip_noise(seed, clip, (short + more, 5))
    assert torch.equal(clip_noise(seed, clip, (short, 5)), long[:short])
    assert not torch.equal(clip_noise(seed, clip, (short, 5), sample=1), long[:short])
    assert not torch.equal(clip_noise(seed + 1, clip, (short, 5)), long[:short])
