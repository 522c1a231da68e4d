"""Everything that can be played, and what scores in it mean."""
