"""quantattack.nn."""
