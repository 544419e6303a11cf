"""Write the table of all clips, with splits and failures."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

STAGES = ("raw", "video", "audio", "landmarks", "clips", "coefficients")

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.split import SplitSettings
    from occlufacediff.stages.manifest import build_manifest

    build_manifest(
        {stage: [Path(path) for path in snakemake.input[stage]] for stage in STAGES},
        [Path(path) for path in snakemake.input.sentences],
        Path(snakemake.output.manifest),
        settings=from_params(SplitSettings, snakemake.params.settings),
    )
