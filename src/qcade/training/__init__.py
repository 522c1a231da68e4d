"""Training: a generator of events that touches no disk and prints nothing."""
