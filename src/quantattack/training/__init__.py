"""Training of quantized networks: recipes, the training loop, adversarial training and several processes."""
