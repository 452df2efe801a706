"""Actors and critics around a memory, and the ways they meet a world."""
