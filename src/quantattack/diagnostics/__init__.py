"""Diagnostics: checks that say whether a robust accuracy can be trusted, and why not; and the signals behind it."""
