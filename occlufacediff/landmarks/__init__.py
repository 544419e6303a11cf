"""Face landmarks: detection, tracking, interpolation, crops, visibility lookup and index tables."""
