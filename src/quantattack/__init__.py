"""Find out what a quantized neural network's adversarial robustness really is."""
