"""How fast networks train, beside what a user would write in Keras and PyTorch: `kerasnets benchmark train`."""
