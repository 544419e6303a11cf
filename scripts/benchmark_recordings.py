"""Hide parts of real recordings, let every method fill them in, and compare."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.crop import CropSettings
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.recordings import RecordingsSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.recordings import BenchmarkInputs, benchmark_recordings
    from occlufacediff.stages.recordings_page import write_page

    folder, out = Path(snakemake.params.folder), Path(snakemake.output.page).parent
    inputs = BenchmarkInputs(
        head=Path(snakemake.input.head),
        checkpoint=Path(snakemake.input.denoiser[0]).parent.parent,
        settings=from_params(RecordingsSettings, snakemake.params.settings),
        landmarks=from_params(LandmarkSettings, snakemake.params.landmarks),
        crop=from_params(CropSettings, snakemake.params.crop),
        reconstruction=from_params(ReconstructionSettings, snakemake.params.reconstruction),
        seed=snakemake.params.seed,
        device=snakemake.config["device"],
    )
    benchmark_recordings(folder, out, inputs=inputs, workers=snakemake.threads)
    write_page(folder, out, inputs=inputs)
