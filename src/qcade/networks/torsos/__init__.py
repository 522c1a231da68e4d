"""Torsos: from stacked frames to feature maps."""
