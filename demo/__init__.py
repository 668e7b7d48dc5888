"""The whole system on one machine: as a demonstration that checks itself, and as a stack to play with."""
