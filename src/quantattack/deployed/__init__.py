"""Deployed models: files of other runtimes, attacked through a differentiable twin and judged by their runtime."""

from quantattack.deployed.judges.judged import judged as judged
from quantattack.deployed.torch_programs.load import adopted as adopted
from quantattack.deployed.torch_programs.load import from_program as from_program
