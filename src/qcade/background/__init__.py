"""Runs that go on by themselves: how they are getting on, and how they are started and stopped."""
