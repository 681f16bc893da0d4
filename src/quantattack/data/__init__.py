"""quantattack.data."""
