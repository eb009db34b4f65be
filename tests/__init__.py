"""Marks this folder as ours: an installed package may bring a `tests` of its own."""
