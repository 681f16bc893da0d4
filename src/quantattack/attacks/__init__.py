"""quantattack.attacks."""
