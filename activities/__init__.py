"""What touches the world, one area a file: each effect carries its job's key and may be repeated without harm."""
