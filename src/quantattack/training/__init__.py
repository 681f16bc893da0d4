"""quantattack.training."""
