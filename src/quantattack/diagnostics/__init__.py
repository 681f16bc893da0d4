"""Diagnostics: checks that say whether a robust accuracy can be trusted, and why not; and the signals behind it."""

BUDGET = 500  # forward and backward passes per image that a diagnosis may spend
