"""Processing, training and batch transform, as local processes under the container contract.

A request is what the Create*Job call takes, already resolved and validated. The answer is what the matching
Describe*Job call returns. Every job is also recorded in the sandbox's SageMaker, so plain boto3 sees it.
"""
