"""Evaluation: attacks a model on images and writes every outcome to a record.

`evaluate` is the public call, `task` checks its input, `run` drives the work, `judge` runs the attacks and measures
the images that they return, and `verify` recomputes the verdicts of a finished record.
"""
