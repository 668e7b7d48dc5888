"""What a person can do at the command line: `python -m jobs NOUN or VERB`, one of them a file."""
