"""Speech in audio: phone recognition, voice activity, prosody, visemes and the motion of lips and jaw."""
