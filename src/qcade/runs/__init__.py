"""Run directories: creating, training, resuming, forking and evaluating runs on disk."""
