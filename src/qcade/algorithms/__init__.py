"""Algorithms: each file puts a head and a pure loss together."""
