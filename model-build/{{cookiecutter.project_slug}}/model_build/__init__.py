"""Trains, evaluates and registers a text classifier on Amazon SageMaker, or on this machine."""
