"""Networks: quantizers, layers, conversion to quantized form, architectures, checkpoints and inspection."""
