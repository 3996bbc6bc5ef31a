"""VGG-19: features, exact gradients in bounded memory, and where weights come from."""
