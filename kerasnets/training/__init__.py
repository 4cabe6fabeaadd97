"""From a config to a run directory: the training step, its optimizer, and what is saved."""
