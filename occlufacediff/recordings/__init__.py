"""The benchmark on real recordings: what is hidden of them, who fills it in, and how far from the truth."""
