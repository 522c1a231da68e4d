"""The doctor: measures this machine and estimates what each recipe needs on it."""
