"""Video and sound in and out: probing, decoding, conversion, encoding, log-mel, archives."""
