"""Face landmarks: detection, interpolation, crops and normalisation, visibility, index tables."""
