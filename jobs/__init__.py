"""What every job shares, whatever its kind and whichever door it came in by."""
