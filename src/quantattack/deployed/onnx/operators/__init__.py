"""The operators of an ONNX graph as torch modules with straight-through derivatives."""
