"""What is seen of a run while it trains: observers of the step, and the TensorBoard writer."""
