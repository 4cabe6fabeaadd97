"""Paired measurements: two things side by side in one process, in turns, so that a busy machine slows both."""
