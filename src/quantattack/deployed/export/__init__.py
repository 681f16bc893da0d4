"""From a network in torch to a deployed ONNX file: the export, and the quantization by onnxruntime's own tool."""
