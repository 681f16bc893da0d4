"""A tiny writer of TFLite files, for tests alone: tensors and operators in, bytes out."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}
ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1": 2, "relu6": 3}


class Writer:
    """Collects a graph and writes it down."""

    def __init__(self):
        self.model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[], buffers=[schema.BufferT()])
        self.graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        self.model.subgraphs.append(self.graph)

    def tensor(self, shape, kind="int8", scale=None, zero=0, data=None, axis=0, dynamic=False):
        """Add a tensor, constant if it has data, and return its index."""
        buffer = 0
        if data is not None:
            data = np.ascontiguousarray(np.asarray(data, dtype=kind))
            self.model.buffers.append(schema.BufferT(data=data.reshape(-1).view(np.uint8)))
            buffer = len(self.model.buffers) - 1
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            zeros = np.broadcast_to(np.atleast_1d(np.asarray(zero, np.int64)), scales.shape)
            quantization = schema.QuantizationParametersT(scale=scales, zeroPoint=zeros, quantizedDimension=axis)
        self.graph.tensors.append(
            schema.TensorT(
                shape=list(shape),
                type=TYPES[kind],
                buffer=buffer,
                name=f"tensor_{len(self.graph.tensors)}",
                quantization=quantization,
                hasRank=True,
                shapeSignature=[-1, *shape[1:]] if dynamic else None,
            )
        )
        return len(self.graph.tensors) - 1

    def operator(self, name, inputs, outputs, options=None, version=None):
        """Add an operator by the name of its code, with an options object of the schema."""
        code = getattr(schema.BuiltinOperator, name)
        self.model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=version or 1)
        )
        kind = 0 if options is None else getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.graph.operators.append(
            schema.OperatorT(
                opcodeIndex=len(self.model.operatorCodes) - 1,
                inputs=list(inputs),
                outputs=list(outputs),
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def bytes(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
