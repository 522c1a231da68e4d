"""Verifying a run: its files by their checksums, its scores by re-emulating its games."""
