"""Games: everything that can be played, and reference scores."""
