"""quantattack.report."""
