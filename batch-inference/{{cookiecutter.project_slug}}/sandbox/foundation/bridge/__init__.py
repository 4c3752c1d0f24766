"""Bitbucket Data Center to Amazon S3, as two Lambda functions.

`webhook` answers Bitbucket at once: it checks the signature of an event and queues one message for each
branch that moved. `fetch` takes the messages: it gets the archive of the commit and writes it where
CodePipeline looks. It needs the standard library and boto3, which Lambda's Python runtimes have.
"""
