"""Where the shards of a run are worked on: here, or by the workers of a Ray cluster."""
