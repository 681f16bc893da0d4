"""TFLite files: a reader of the flatbuffer, a differentiable twin, and the interpreter that judges."""
