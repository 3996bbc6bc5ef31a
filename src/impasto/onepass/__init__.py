"""One pass: any painting at once, and models that were fitted to a painting."""
