"""Answers files with the newest approved model: deploys the pipeline that does, and sends files to it."""
