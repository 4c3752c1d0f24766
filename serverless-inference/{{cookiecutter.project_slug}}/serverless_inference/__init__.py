"""Serves the newest approved model from a serverless endpoint: `python -m serverless_inference --help`."""
