"""The doctor: measures this machine, and says what each recipe will take on it."""
