"""Data: readers of standard formats, and data sets by name."""
