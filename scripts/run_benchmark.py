"""Occlude parts of real videos, reconstruct them by every method, and compare."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.benchmark import BenchmarkSettings
    from occlufacediff.config.crop import CropSettings
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.benchmark import BenchmarkInputs, run_benchmark
    from occlufacediff.stages.benchmark_page import write_page

    folder, out = Path(snakemake.params.folder), Path(snakemake.output.page).parent
    inputs = BenchmarkInputs(
        head=Path(snakemake.input.head),
        checkpoint=Path(snakemake.input.denoiser[0]).parent.parent,
        settings=from_params(BenchmarkSettings, snakemake.params.settings),
        landmarks=from_params(LandmarkSettings, snakemake.params.landmarks),
        crop=from_params(CropSettings, snakemake.params.crop),
        reconstruction=from_params(ReconstructionSettings, snakemake.params.reconstruction),
        seed=snakemake.params.seed,
        device=snakemake.config["device"],
    )
    run_benchmark(folder, out, inputs=inputs, workers=snakemake.threads)
    write_page(folder, out, inputs=inputs)
