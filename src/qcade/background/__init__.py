"""Runs in the background: starting, watching, stopping and resuming them."""
