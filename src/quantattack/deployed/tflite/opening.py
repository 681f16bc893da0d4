"""Opens a TFLite model once in a process of its own, so that a file that kills the interpreter kills only that one.

Run as a program: the model's bytes on the standard input, and the kernels as its one argument.  It writes which tensors
XNNPACK computes, as JSON.
"""

import json
import sys

import numpy as np


def main() -> None:
    """Open the model, run it once, and say what XNNPACK took over."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF if sys.argv[1] == "reference" else OpResolverType.AUTO
    interpreter = Interpreter(
        model_content=sys.stdin.buffer.read(),
        num_threads=1,
        experimental_op_resolver_type=kernels,
        experimental_disable_delegate_node_fusion=True,  # one part for each operator, so that each can be told
    )
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]
    interpreter.set_tensor(taken["index"], np.zeros(taken["shape"], taken["dtype"]))
    interpreter.invoke()
    parts = [part for part in interpreter._get_ops_details() if part["op_name"] == "DELEGATE"]
    print(json.dumps(sorted({int(index) for part in parts for index in part["outputs"]})))


if __name__ == "__main__":
    main()
