"""Side-by-side measurements of devhost, its peers and the least possible host: `python -m bench`."""
