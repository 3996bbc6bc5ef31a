"""Fitting the decoder of the one-pass way, to many paintings or to a few."""
