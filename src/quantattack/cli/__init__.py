"""quantattack.cli."""
