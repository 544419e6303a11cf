# With `chunks` above 1, jobs for parts of a subject (docs/workflow.md). They inherit the subject's rule; their finished clips
# are found and joined by the subject's own job.
if cfg.chunks > 1:

    use rule convert_video as convert_video_chunk with:
        output:
            **chunk_markers(index=f"{RESULTS}/video25/{{subject}}/index.csv"),
        log:
            f"{LOGS}/convert_video_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/convert_video_chunk/{{subject}}/{{chunk}}.tsv"

    use rule extract_audio as extract_audio_chunk with:
        output:
            **chunk_markers(audio=f"{RESULTS}/audio/{{subject}}.h5", index=f"{RESULTS}/audio/{{subject}}.csv"),
        log:
            f"{LOGS}/extract_audio_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/extract_audio_chunk/{{subject}}/{{chunk}}.tsv"

    if cfg.landmarks.source == "emote":

        use rule read_emote_landmarks as read_landmarks_chunk with:
            output:
                **chunk_markers(
                    landmarks=f"{RESULTS}/landmarks/{{subject}}.h5", index=f"{RESULTS}/landmarks/{{subject}}.csv"
                ),
            log:
                f"{LOGS}/read_landmarks_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/read_landmarks_chunk/{{subject}}/{{chunk}}.tsv"

    else:

        use rule detect_landmarks as detect_landmarks_chunk with:
            output:
                **chunk_markers(
                    landmarks=f"{RESULTS}/landmarks/{{subject}}.h5", index=f"{RESULTS}/landmarks/{{subject}}.csv"
                ),
            log:
                f"{LOGS}/detect_landmarks_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/detect_landmarks_chunk/{{subject}}/{{chunk}}.tsv"

    use rule crop_faces as crop_faces_chunk with:
        output:
            **chunk_markers(clips=f"{RESULTS}/clips/{{subject}}.h5", index=f"{RESULTS}/clips/{{subject}}.csv"),
        log:
            f"{LOGS}/crop_faces_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/crop_faces_chunk/{{subject}}/{{chunk}}.tsv"

    if cfg.reconstruction.source == "emote":

        use rule read_emote_coefficients as read_coefficients_chunk with:
            output:
                **chunk_markers(
                    coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
                    index=f"{RESULTS}/coefficients/{{subject}}.csv",
                ),
            log:
                f"{LOGS}/read_coefficients_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/read_coefficients_chunk/{{subject}}/{{chunk}}.tsv"

    else:

        use rule fit_coefficients as fit_coefficients_chunk with:
            output:
                **chunk_markers(
                    coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
                    index=f"{RESULTS}/coefficients/{{subject}}.csv",
                ),
            log:
                f"{LOGS}/fit_coefficients_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{LOGS}/fit_coefficients_chunk/{{subject}}/{{chunk}}.tsv"
