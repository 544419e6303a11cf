"""Speed of sampling: a direct implementation of the published procedure against this project, in one process.

``python benchmarks/sampling.py [--quick] [--device auto] [--plain-steps 4]``; the last line is one JSON object.

Both use the same modules, weights (filled by the rule of the parity tests, published sizes), noise and windows. The
plain procedure computes everything at every step, one window at a time, with three passes for guidance. It runs
``--plain-steps`` steps, and both motions are compared. Its time is scaled to ``--steps``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from golden_rule import fill  # noqa: E402

from occlufacediff.media.rates import FPS, SAMPLES_PER_FRAME  # noqa: E402
from occlufacediff.models.audio_encoder import Wav2Vec2Sizes  # noqa: E402
from occlufacediff.models.conditions import Precision  # noqa: E402
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig  # noqa: E402
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig  # noqa: E402
from occlufacediff.models.published_names import published_denoiser_name, published_prior_name  # noqa: E402
from occlufacediff.models.published_windows import published_layout  # noqa: E402
from occlufacediff.models.sample import SampleInput, sample_clips  # noqa: E402
from occlufacediff.models.sampler import Ddim, clip_noise  # noqa: E402
from occlufacediff.models.schedule import NoiseSchedule  # noqa: E402
from occlufacediff.models.windows import WINDOW_FRAMES  # noqa: E402

#: Guidance weights (s_all, s_audio) of the guided runs.
GUIDANCE = (1.5, 0.5)
REPEATS = 3

Models = tuple[Denoiser, MotionPrior]


@dataclasses.dataclass(frozen=True)
class Took:
    """Wall-clock seconds and CPU seconds."""

    wall: float
    cpu: float


def take(work: Callable[[], object], device: torch.device) -> Took:
    """Time one call."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def median(work: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> Took:
    """Median of several calls, after one warm-up call."""
    work()
    took = [take(work, device) for _ in range(repeats)]
    return Took(statistics.median(one.wall for one in took), statistics.median(one.cpu for one in took))


def build(quick: bool) -> Models:
    """Denoiser and motion prior of the published sizes with rule-based weights; quick: a small audio encoder."""
    config = DenoiserConfig.published()
    if quick:
        sizes = json.loads((ROOT / "tests" / "goldens" / "wav2vec2_configs.json").read_text())["small"]
        sizes.pop("feat_proj_dropout")
        sizes["conv_dim"] = tuple(sizes["conv_dim"])
        config = dataclasses.replace(config, wav2vec2=Wav2Vec2Sizes(**sizes))
    denoiser, prior = Denoiser(config), MotionPrior(MotionPriorConfig.published())
    fill(denoiser, published_denoiser_name)
    fill(prior, published_prior_name)
    return denoiser, prior


def random_clip(frames: int, name: str = "benchmark") -> SampleInput:
    """Landmarks, half of them occluded, and noise as audio."""
    draw = torch.Generator().manual_seed(0)
    return SampleInput(
        clip_id=name,
        lmk_2d=0.3 * torch.randn(frames, 468, 2, generator=draw),
        lmk_mask=(torch.rand(frames, 468, generator=draw) > 0.5).float(),
        audio=torch.randn(frames * SAMPLES_PER_FRAME, generator=draw),
    )


@torch.no_grad()
def plain(models: Models, clip: SampleInput, steps: int, guided: bool) -> tuple[Tensor, list[Took]]:
    """The published procedure, plainly: motion (1, T, M), and the time of each step of each window."""
    denoiser, prior = models
    device = next(denoiser.parameters()).device
    lmk, mask, audio = (part[None].to(device) for part in (clip.lmk_2d, clip.lmk_mask, clip.audio))
    ddim = Ddim(NoiseSchedule.cosine().respaced(str(steps)))
    noise = clip_noise(0, clip.clip_id, (lmk.shape[1] // 8, prior.config.latent_dim))[None].to(device)
    s_all, s_audio = GUIDANCE
    took: list[Took] = []
    motions = []
    for first, last, _ in published_layout(lmk.shape[1]):
        inputs = (
            lmk[:, first : last + 1],
            mask[:, first : last + 1],
            audio[:, first * SAMPLES_PER_FRAME : (last + 1) * SAMPLES_PER_FRAME],
        )

        def passes(x: Tensor, t: Tensor, inputs: tuple[Tensor, Tensor, Tensor] = inputs) -> Tensor:
            seen, shown, heard = inputs
            full = denoiser(x, t, seen, shown, heard)
            if not guided:
                return full
            audio_only = denoiser(x, t, seen, 0 * shown, heard)
            nothing = denoiser(x, t, seen, 0 * shown, 0 * heard)
            return (1 - s_all - s_audio) * nothing + s_all * full + s_audio * audio_only

        def predict(x: Tensor, index: int, passes: Callable[[Tensor, Tensor], Tensor] = passes) -> Tensor:
            clean: list[Tensor] = []
            t = torch.tensor([ddim.steps[index]], device=device)
            took.append(take(lambda: clean.append(passes(x, t)), device))
            return clean[0]

        motions.append(prior.decode(ddim.sample(predict, noise[:, first // 8 : (last + 1) // 8])))
    return torch.cat(motions, dim=1).cpu(), took


def peak_memory_mib() -> float:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def on_cpu(
    models: Models, clip: SampleInput, steps: int, plain_steps: int, fewer: tuple[int, ...]
) -> dict[str, object]:
    """This project against the plain procedure on one thread: guidance, lower bound, memory, few-step solvers."""
    cpu = torch.device("cpu")
    denoiser, prior = models
    frames = clip.lmk_2d.shape[0]
    seconds, windows = frames / FPS, len(published_layout(frames))
    side_by_side = partial(sample_clips, denoiser, prior, [clip], seed=0, solver="ddim", hop=WINDOW_FRAMES)
    ours: dict[bool, Took] = {}
    for guided in (False, True):
        ours[guided] = median(partial(side_by_side, steps=steps, guidance=GUIDANCE if guided else None), cpu)
    solvers: dict[str, object] = {}
    runs: list[tuple[Literal["ddim", "dpmpp"], int]] = [("ddim", steps), *(("dpmpp", count) for count in fewer)]
    for solver, count in runs:
        took = median(partial(sample_clips, denoiser, prior, [clip], seed=0, steps=count, solver=solver), cpu)
        solvers[f"{solver}-{count}"] = round(frames / took.wall, 1)
    memory = peak_memory_mib()
    sound = clip.audio.unflatten(0, (windows, -1))
    with torch.no_grad():
        floor = median(lambda: [denoiser.audio_encoder(one[None], WINDOW_FRAMES) for one in sound], cpu)
    result: dict[str, object] = {}
    for guided in (False, True):
        motion = side_by_side(steps=plain_steps, guidance=GUIDANCE if guided else None)[0]
        want, took_plain = plain(models, clip, plain_steps, guided)
        scaled = Took(*(statistics.mean(getattr(t, k) for t in took_plain) * windows * steps for k in ("wall", "cpu")))
        now = ours[guided]
        values = {
            "plain_s": round(scaled.wall, 1),
            "ours_s": round(now.wall, 3),
            "ratio": round(scaled.wall / now.wall, 1),
            "ratio_cpu_time": round(scaled.cpu / now.cpu, 1),
            "largest_difference": float((motion - want).abs().max()),
            "frames_per_s": round(frames / now.wall, 1),
            "times_real_time": round(seconds / now.wall, 2),
            "times_wav2vec2": round(now.wall / floor.wall, 2),
            "times_wav2vec2_cpu_time": round(now.cpu / floor.cpu, 2),
        }
        result["guided" if guided else "unguided"] = values
        print(f"{'with' if guided else 'without'} guidance: {values}")
    result |= {
        "wav2vec2_pass_s": round(floor.wall, 3),
        "peak_memory_mib": round(memory),
        "frames_per_s_overlapping": solvers,
    }
    print(f"one wav2vec2 pass {floor.wall:.2f} s, peak memory of ours {memory:.0f} MiB")
    print(f"frames per second with overlapping windows (7 instead of 4 adjacent ones): {solvers}")
    return result


def busy_seconds(work: Callable[[], object]) -> float:
    """Seconds of GPU activity (kernels and copies) during a call."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        work()
        torch.cuda.synchronize()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in seen.events()
        if event.device_type == DeviceType.CUDA
    )
    busy, reached = 0.0, float("-inf")
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy / 1e6


def on_gpu(models: Models, clip: SampleInput, steps: int, many: int) -> dict[str, object]:
    """Both number formats, for one clip and for a batch."""
    device = torch.device("cuda")
    models = models[0].to(device), models[1].to(device)
    result: dict[str, object] = {"device": torch.cuda.get_device_name()}
    frames = clip.lmk_2d.shape[0]
    exact: Tensor | None = None
    formats: tuple[Precision, ...] = ("float32", "bf16")
    for precision in formats:
        for count in (1, many):
            clips = [dataclasses.replace(clip, clip_id=f"{number}") for number in range(count)]
            work = partial(
                sample_clips,
                *models,
                clips,
                seed=0,
                steps=steps,
                solver="ddim",
                hop=WINDOW_FRAMES,
                precision=precision,
                max_batch=256,
                device=device,
            )
            torch.cuda.reset_peak_memory_stats()
            took = median(work, device)
            values = {
                "frames_per_s": round(count * frames / took.wall, 1),
                "gpu_busy_share": round(busy_seconds(work) / took.wall, 3),
                "peak_gpu_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20),
            }
            motion = work()[0]
            exact = motion if exact is None else exact
            values["largest_difference_to_float32"] = float((motion - exact).abs().max())
            result[f"{precision}, {count} clips"] = values
            print(f"{precision}, {count} clips: {values}")
    return result


def main() -> None:
    """Measure on one CPU thread, and on the GPU if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small audio encoder, 128 frames, 6 steps")
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--plain-steps", type=int, default=4)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames, arguments.steps, arguments.plain_steps = 128, 6, 2
    if arguments.frames % WINDOW_FRAMES:
        parser.error(f"--frames: got {arguments.frames}, needs a multiple of {WINDOW_FRAMES}")
    torch.set_num_threads(1)
    models = build(arguments.quick)
    size = sum(parameter.numel() for parameter in models[0].parameters()) / 1e6
    print(f"denoiser of {size:.1f} M parameters, DDIM-{arguments.steps}, {arguments.frames} frames, one thread;")
    print(f"the plain procedure ran {arguments.plain_steps} steps, its time is scaled to {arguments.steps}")
    clip = random_clip(arguments.frames)
    result: dict[str, object] = {
        "parameters_m": round(size, 1),
        "frames": arguments.frames,
        "steps": arguments.steps,
        "plain_steps": arguments.plain_steps,
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
    }
    if arguments.device != "cuda":
        fewer = (3,) if arguments.quick else (20, 10)
        result["cpu"] = on_cpu(models, clip, arguments.steps, arguments.plain_steps, fewer)
    if arguments.device == "cuda" or (arguments.device == "auto" and torch.cuda.is_available()):
        result["gpu"] = on_gpu(models, clip, arguments.steps, many=4 if arguments.quick else 64)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
