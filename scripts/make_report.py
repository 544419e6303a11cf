"""Write the report of a run: one HTML file that needs no network."""

from importlib.metadata import distributions
from pathlib import Path

from occlufacediff.workflow.job_log import logged

LIBRARIES = ("torch", "mediapipe", "snakemake", "dask", "h5py", "librosa", "numpy", "vtk", "anny")

with logged(snakemake):
    from occlufacediff import __version__
    from occlufacediff.config.report import ReportSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.report import DataSetFiles, EvaluationFiles, make_report

    versions = {name: dist.version for dist in distributions() if (name := dist.metadata["Name"]) in LIBRARIES}
    make_report(
        Path(snakemake.input.manifest),
        DataSetFiles(
            clips=[Path(path) for path in snakemake.input.clips],
            audio=[Path(path) for path in snakemake.input.audio],
            coefficients=[Path(path) for path in snakemake.input.coefficients],
            head=Path(snakemake.input.head),
        ),
        EvaluationFiles(
            metrics=Path(snakemake.input.metrics),
            metrics_by_clip=Path(snakemake.input.metrics_by_clip),
            motions=[Path(path) for path in snakemake.input.motions],
            failures=Path(snakemake.input.failures),
            paired=Path(snakemake.input.paired),
            by_group=Path(snakemake.input.by_group),
            published=Path(snakemake.input.published) if snakemake.input.published else None,
            visibility=Path(snakemake.input.visibility) if snakemake.input.visibility else None,
            # The paths are <run>/evaluation/metrics.csv.
            compared=[Path(path).parent.parent for path, *_ in snakemake.params.compared],
        ),
        [Path(path) for path in snakemake.input.networks],
        {Path(path).parent.name: Path(path) for path in snakemake.input.histories},
        snakemake.config,
        {"occlufacediff": __version__} | dict(sorted(versions.items())),
        Path(snakemake.output.report),
        settings=from_params(ReportSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
    )
