"""Playing: the loop over rows that everything shares, and evaluation."""
