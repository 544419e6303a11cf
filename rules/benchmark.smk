# The benchmark on real videos: snakemake benchmark --config benchmark_videos=FOLDER
rule run_benchmark:
    input:
        clips=benchmark_videos,
        head=HEAD,
        motion_prior=network(MODELS, "motion_prior"),
        denoiser=network(MODELS, "denoiser"),
    output:
        tables=expand(f"{RESULTS}/benchmark/{{table}}.csv", table=["clips", "by_clip", "means", "groups", "gains"]),
        page=report(
            f"{RESULTS}/benchmark/benchmark.html",
            caption="../report/benchmark.rst",
            category="Benchmark",
        ),
    log:
        f"{LOGS}/run_benchmark.log",
    benchmark:
        f"{LOGS}/run_benchmark.tsv"
    threads: cores(8)
    resources:
        mem_mb=scaled_by_attempt(1500, each=1500),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
    params:
        folder=cfg.benchmark_videos,
        settings=as_params(cfg.benchmark),
        landmarks=as_params(cfg.landmarks),
        crop=as_params(cfg.crop),
        pictures=occluders_state(cfg.benchmark, cfg.benchmark.regions),
        reconstruction=as_params(cfg.reconstruction),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.benchmark", "occlufacediff.stages.benchmark_page"),
    message:
        "Occlude real videos, reconstruct them by every method, and compare"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/run_benchmark.py"
