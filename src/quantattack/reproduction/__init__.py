"""Papers' tables and figures: the published numbers as data, and the runs that measure them again."""

KEYS = ("gupta2022", "liu2020", "beyond")  # of the papers, and what goes beyond them
SIZES = ("smallest", "quick", "full")  # names of the scales
