"""The systems that are measured, one a file; each runs in a process of its own."""
