"""What ships: a run's model as files that servers run unchanged, verified and published."""
