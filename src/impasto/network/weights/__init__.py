"""Weights: networks known by name, file formats, fetching."""
