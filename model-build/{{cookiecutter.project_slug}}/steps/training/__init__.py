"""Fine-tuning an encoder: what train.py puts together.

settings (the hyperparameters), start_up (before the libraries are loaded), base_model, batches, trainer (the
loss, and one step), callbacks (what is shown, and checkpoints), machine (ranks, number format, memory).
"""
