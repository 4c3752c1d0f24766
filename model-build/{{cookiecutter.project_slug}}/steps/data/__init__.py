"""From data files to the sets train, validation and test: what preprocess.py does, step by step.

settings (the command line) -> files and readers (what is there) -> intake (the one pass over it) -> hashes
and selection (which rows stay) -> splits (which set a row goes to) -> sets (written). examples reads them
again, for training and evaluation.
"""
