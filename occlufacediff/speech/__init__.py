"""What is heard: phones of a waveform, whether it is speech at all, and the lips' motion that phones ask for."""
