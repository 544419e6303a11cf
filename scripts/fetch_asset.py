"""Download and unpack one licensed asset."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.acquire import DownloadSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.fetch import fetch_asset

    fetch_asset(
        snakemake.wildcards.asset,
        Path(snakemake.output.index),
        # Not a param: how patiently files are fetched is no reason to fetch them again.
        settings=from_params(DownloadSettings, snakemake.config["download"]),
    )
