"""Why a robust accuracy can or cannot be trusted."""
