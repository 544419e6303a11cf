# Motion and animation of one video: snakemake predict --config video=FILE
rule predict_video:
    input:
        video=local(cfg.video) if cfg.video else [],
        model=VISIBILITY_MODEL,
        head=OPEN_HEAD if cfg.prediction.weights == "open" else HEAD,
        motion_prior=predicting("motion_prior"),
        denoiser=predicting("denoiser"),
    output:
        motion=f"{RESULTS}/predictions/{{video}}/motion.npz",
        animation=report(
            f"{RESULTS}/predictions/{{video}}/animation.mp4",
            caption="../report/animation.rst",
            category="Predictions",
            labels={"video": "{video}", "shows": "animation"},
        ),
        viewer=report(
            f"{RESULTS}/predictions/{{video}}/viewer.html",
            caption="../report/viewer.rst",
            category="Predictions",
            labels={"video": "{video}", "shows": "3D view"},
        ),
    log:
        f"{LOGS}/predict_video/{{video}}.log",
    benchmark:
        f"{LOGS}/predict_video/{{video}}.tsv"
    threads: cores(4)
    resources:
        mem_mb=scaled_by_attempt(3000),
        runtime=scaled_by_attempt(120),
        gpu=gpus(),
    params:
        settings=as_params(cfg.prediction),
        landmarks=as_params(cfg.landmarks),
        crop=as_params(cfg.crop),
        visibility=as_params(cfg.visibility),
        masks=lambda wildcards: masks_state(cfg.visibility, wildcards.video),
        pictures=occluders_state(cfg.prediction.region, [cfg.prediction.occlusion]),
        reconstruction=as_params(cfg.reconstruction),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.predict"),
    message:
        "{wildcards.video}: predict and animate the facial motion"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/predict_video.py"
