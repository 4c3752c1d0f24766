"""The ground floor: what a model needs to answer. The whole folder ships in model.tar.gz, as code/serving/.

It imports nothing from above, and only what the inference images have: the standard library and NumPy, and
where they are asked for tokenizers, ONNX Runtime, PyTorch and transformers.
"""
