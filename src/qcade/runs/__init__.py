"""Run directories: what a training run leaves on disk, and how it goes on from there."""
