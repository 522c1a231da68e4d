"""Torsos: they map stacked frames to feature maps."""
