"""SageMaker pipelines, written as plain requests in the SDK's graph."""
