"""Files that no kill, no power cut and no full disk can spoil."""
