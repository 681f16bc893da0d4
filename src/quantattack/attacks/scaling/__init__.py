"""Temperatures: what the logits are multiplied by, so that there is a slope to feel."""
