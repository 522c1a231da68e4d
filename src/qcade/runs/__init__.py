"""Run directories: what a training leaves on disk, going on from there, judging its agent."""
