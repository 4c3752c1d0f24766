"""Amazon SageMaker Runtime: InvokeEndpoint. moto answers every request with the same text."""

from __future__ import annotations
