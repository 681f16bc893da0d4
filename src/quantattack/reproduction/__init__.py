"""Papers' tables and figures: the published numbers as data, and the runs that put measured ones beside them."""
