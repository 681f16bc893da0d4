"""Opens a TFLite model once in a process of its own, so that a file that kills the interpreter kills only that one.

Run as a program: the model's bytes on the standard input, and the kernels as its one argument.  It writes which tensors
XNNPACK computes, as JSON.
"""

import json
import sys
from contextlib import suppress
from typing import Any

import numpy as np

ROWS = 8  # images, where the interpreter can be given another number of them


def main() -> None:
    """Open the model, run it as the judge will, and say what XNNPACK took over."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF if sys.argv[1] == "reference" else OpResolverType.AUTO
    settings = {"model_content": sys.stdin.buffer.read(), "num_threads": 1, "experimental_op_resolver_type": kernels}
    # one part of the delegate for each operator, so that each can be told
    apart = Interpreter(**settings, experimental_disable_delegate_node_fusion=True)
    _run(apart)
    _run(Interpreter(**settings))
    with suppress(RuntimeError, ValueError):  # where they can be run one at a time alone
        _run(Interpreter(**settings), ROWS)
    parts = [part for part in apart._get_ops_details() if part["op_name"] == "DELEGATE"]
    print(json.dumps(sorted({int(index) for part in parts for index in part["outputs"]})))


def _run(interpreter: Any, rows: int = 1) -> None:
    taken = interpreter.get_input_details()[0]
    shape = [rows, *taken["shape"][1:]]
    if rows != 1:
        interpreter.resize_tensor_input(taken["index"], shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], np.zeros(shape, taken["dtype"]))
    interpreter.invoke()


if __name__ == "__main__":
    main()
