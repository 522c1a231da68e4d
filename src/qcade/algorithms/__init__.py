"""Algorithms: each file combines a head with a pure loss."""
