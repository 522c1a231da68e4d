"""The frame ring and how transitions are drawn from it."""
