"""Many pictures: jobs, the manifest of what is done, batches, sweeps, and Ray."""
