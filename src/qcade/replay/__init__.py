"""The replay memory: a ring of frames, and sampling transitions from it."""
