"""What a trained or exported model says about images."""
