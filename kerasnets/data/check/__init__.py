"""`kerasnets data check`: what is wrong with a data set. Imports no TensorFlow."""
