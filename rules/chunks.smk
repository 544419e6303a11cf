# Parts of a subject's jobs, where the configuration cuts them finer (docs/workflow.md). Their markers go when the subject's
# own job, which finds the parts finished and joins them, is done.
if cfg.chunks > 1:

    use rule convert_video as convert_video_chunk with:
        input:
            index=f"{RESULTS}/raw/{{subject}}/index.csv",
        output:
            index=temp(touch(f"{RESULTS}/video25/{{subject}}/index.csv.{{chunk}}")),
        log:
            f"{LOGS}/convert_video_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/convert_video_chunk/{{subject}}/{{chunk}}.tsv"
        message:
            "{wildcards.subject}, {wildcards.chunk}: video at 25 fps"

    use rule extract_audio as extract_audio_chunk with:
        input:
            index=f"{RESULTS}/raw/{{subject}}/index.csv",
        output:
            audio=temp(touch(f"{RESULTS}/audio/{{subject}}.h5.{{chunk}}")),
            index=temp(touch(f"{RESULTS}/audio/{{subject}}.csv.{{chunk}}")),
        log:
            f"{LOGS}/extract_audio_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/extract_audio_chunk/{{subject}}/{{chunk}}.tsv"
        message:
            "{wildcards.subject}, {wildcards.chunk}: sound at 16 kHz"

    if cfg.landmarks.source == "emote":

        use rule read_emote_landmarks as read_landmarks_chunk with:
            input:
                index=f"{RESULTS}/video25/{{subject}}/index.csv",
                published=f"{emote_landmarks(cfg)}/{{subject}}/{cfg.acquire.view}",
            output:
                landmarks=temp(touch(f"{RESULTS}/landmarks/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{RESULTS}/landmarks/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/read_landmarks_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/read_landmarks_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: published landmarks"

    else:

        use rule detect_landmarks as detect_landmarks_chunk with:
            input:
                index=f"{RESULTS}/video25/{{subject}}/index.csv",
            output:
                landmarks=temp(touch(f"{RESULTS}/landmarks/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{RESULTS}/landmarks/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/detect_landmarks_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/detect_landmarks_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: landmarks"

    use rule crop_faces as crop_faces_chunk with:
        input:
            index=f"{RESULTS}/video25/{{subject}}/index.csv",
            landmarks=f"{RESULTS}/landmarks/{{subject}}.h5",
        output:
            clips=temp(touch(f"{RESULTS}/clips/{{subject}}.h5.{{chunk}}")),
            index=temp(touch(f"{RESULTS}/clips/{{subject}}.csv.{{chunk}}")),
        log:
            f"{LOGS}/crop_faces_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/crop_faces_chunk/{{subject}}/{{chunk}}.tsv"
        message:
            "{wildcards.subject}, {wildcards.chunk}: crops and normalised landmarks"

    if cfg.reconstruction.source == "emote":

        use rule read_emote_coefficients as read_coefficients_chunk with:
            input:
                clips=f"{RESULTS}/clips/{{subject}}.h5",
                head=HEAD,
                published=f"{emote_coefficients(cfg)}/{{subject}}/{cfg.acquire.view}",
            output:
                coefficients=temp(touch(f"{RESULTS}/coefficients/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{RESULTS}/coefficients/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/read_coefficients_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/read_coefficients_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: published coefficients"

    else:

        use rule fit_coefficients as fit_coefficients_chunk with:
            input:
                clips=f"{RESULTS}/clips/{{subject}}.h5",
                head=HEAD,
            output:
                coefficients=temp(touch(f"{RESULTS}/coefficients/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{RESULTS}/coefficients/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/fit_coefficients_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/fit_coefficients_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: fit the head model to landmarks"
