"""Deployed models: files of other runtimes, attacked through a differentiable twin and judged by their runtime."""

from quantattack.deployed.load import load

__all__ = ["load"]
