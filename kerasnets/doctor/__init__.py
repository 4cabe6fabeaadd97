"""What is wrong with a run, with evidence, cause and remedy: rules over what a run directory holds. No TensorFlow."""
