"""The tape: all that a run needs to keep of its games, and how they are played again from it."""
