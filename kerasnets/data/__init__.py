"""Images and labels: found, decoded, resized, augmented and put into batches."""
