"""How cost grows with batch, image size, depth and width: `kerasnets benchmark growth`."""
