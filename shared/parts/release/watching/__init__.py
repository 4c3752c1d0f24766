"""What a model in use answers, as metrics: counted without texts, and compared with its training data.

Runs in Lambda functions (count.py, check.py; batch-inference's publish.py) and behind the command `watch`;
docs/watching.md is about all of it. Imports nothing but boto3 and the standard library.
"""
