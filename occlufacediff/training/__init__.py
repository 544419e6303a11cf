"""Windows of training data, losses and resumable training of both networks."""
