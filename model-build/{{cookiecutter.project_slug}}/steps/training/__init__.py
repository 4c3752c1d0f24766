"""Fine-tuning an encoder: what train.py puts together.

settings (the hyperparameters), start_up (before the libraries are loaded), inputs (the base model, texts as
tokens, batches), trainer (the loss, one step, what is shown), machine (ranks, number format, memory).
"""
