"""`kerasnets benchmark input`: what the input pipeline of training gives and costs."""
