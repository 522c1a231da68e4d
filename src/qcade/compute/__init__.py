"""Where the computation runs: hardware, its limits, CUDA graphs, and transfers."""
