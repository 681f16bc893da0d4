"""Temperatures: factors that multiply the logits before the loss, so that its gradient does not vanish."""
