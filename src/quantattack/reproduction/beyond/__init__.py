"""Experiments beyond the two papers."""
