"""Reading a run, still training or not; nothing here writes, or loads PyTorch."""
