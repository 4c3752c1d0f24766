"""What goes into model.tar.gz.

model (all of it), profile (of the training data), artefact (what is served: ONNX or PyTorch), onnx_export (a
process of its own).
"""
