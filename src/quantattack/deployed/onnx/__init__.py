"""ONNX files: the graph that onnxruntime runs as a differentiable twin, and onnxruntime itself as the judge."""
