"""The order in which things happen, one generator a file: deterministic, no I/O, no clock but the context's."""
