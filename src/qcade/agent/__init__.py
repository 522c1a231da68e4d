"""The agent: an actor that plays and a learner that improves it."""
