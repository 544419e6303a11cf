"""What is hidden from the model: regions, spans, mask pictures."""
