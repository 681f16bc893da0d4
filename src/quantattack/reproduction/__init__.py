"""Papers' tables and figures: the published numbers as data, and the runs that measure them again."""
