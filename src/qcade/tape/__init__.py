"""The tape: the seeds and actions of a run's games, and how they are re-emulated from it."""
