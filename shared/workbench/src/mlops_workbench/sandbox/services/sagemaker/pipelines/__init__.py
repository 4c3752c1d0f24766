"""SageMaker pipelines: a definition as JSON is checked, then run step by step, as the service would.

``prepare`` checks a definition, its parameters and its requests, and needs no moto; ``running`` runs it.
"""
