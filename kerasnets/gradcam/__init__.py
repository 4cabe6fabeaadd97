"""Where a network looks: Grad-CAM (Selvaraju et al. 2017) on Keras models, and its maps as pictures."""
