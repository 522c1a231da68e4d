"""What a run has played, brought back from its tape: listed, filmed, and proven."""
