"""The optimisation: a scene prepared, an estimate of it, the objective, and the loop."""
