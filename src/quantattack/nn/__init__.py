"""Networks: layers, conversion to quantized form, architectures, checkpoints and the zoo."""
