"""Video and audio files: probing, decoding, conversion, encoding, log-mel, archives."""
