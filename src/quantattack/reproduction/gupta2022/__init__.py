"""Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511."""
