"""Deployed models: files of other runtimes, attacked through a differentiable twin and judged by their runtime."""

from quantattack.deployed.export.int8 import Int8
from quantattack.deployed.export.onnx import Exported, export_onnx
from quantattack.deployed.judges.judged import judged
from quantattack.deployed.load import load
from quantattack.deployed.torch_programs.load import adopted, from_program

__all__ = ["Exported", "Int8", "adopted", "export_onnx", "from_program", "judged", "load"]
