"""How good predictions are, and the confusion matrix: numbers and pictures for whoever measures a model."""
