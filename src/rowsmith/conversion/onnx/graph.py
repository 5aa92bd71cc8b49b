"""Graph: nodes and constants of an ONNX model, written down as expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rowsmith.types import Array

OPSET, ML_OPSET, IR_VERSION = 18, 5, 9
ML = "ai.onnx.ml"
TYPES = {"float64": TensorProto.DOUBLE, "string": TensorProto.STRING}


class Graph:
    """Values are referred to by name, as ONNX has it; `op` answers the name of what a node gives."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[bytes, str] = {}
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        """A constant of any shape; the same one twice is kept once."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        key = f"{array.dtype}{np.shape(value)}".encode() + array.tobytes()
        if key not in self._constants:
            name = self._constants[key] = f"c{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return self._constants[key]

    def integers(self, value: Any) -> str:
        return self.constant(value, np.int64)

    def input(self, name: str, kind: str) -> str:
        """A column, shape (rows, 1)."""
        self._inputs.append(helper.make_tensor_value_info(name, TYPES[kind], ["rows", 1]))
        return name

    def output(self, value: str, name: str, kind: str, columns: int | None = None) -> None:
        """An answer, shape (rows,), or (rows, columns)."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        shape: list[str | int] = ["rows"] if columns is None else ["rows", columns]
        self._outputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))

    def model(self, *, name: str, description: str, facts: dict[str, str]) -> Any:
        """The whole, checked. Raises onnx.checker.ValidationError."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rowsmith")
        model.doc_string = description
        helper.set_model_props(model, facts)
        onnx.checker.check_model(model, full_check=True)
        return model

    # -- expressions ---------------------------------------------------------------------------------------

    def add(self, a: str, b: str) -> str:
        return self.op("Add", a, b)

    def subtract(self, a: str, b: str) -> str:
        return self.op("Sub", a, b)

    def times(self, a: str, b: str) -> str:
        return self.op("Mul", a, b)

    def over(self, a: str, b: str) -> str:
        return self.op("Div", a, b)

    def floor_over(self, a: str, number: float) -> str:
        return self.op("Floor", self.over(a, self.constant(number)))

    def where(self, condition: str, yes: str, no: str) -> str:
        return self.op("Where", condition, yes, no)

    def is_missing(self, value: str) -> str:
        return self.op("Not", self.op("Equal", value, value))

    def clipped(self, value: str, low: float, high: float) -> str:
        """NaN stays NaN."""
        inside = self.op("Max", self.op("Min", value, self.constant(high)), self.constant(low))
        return self.where(self.is_missing(value), value, inside)

    def doubles(self, value: str) -> str:
        return self.op("Cast", value, to=TensorProto.DOUBLE)

    def whole(self, value: str) -> str:
        return self.op("Cast", value, to=TensorProto.INT64)

    def as_float32(self, value: str) -> str:
        """Rounded to float32, and a float64 again: what a matrix of the model holds."""
        return self.doubles(self.op("Cast", value, to=TensorProto.FLOAT))

    def columns(self, matrix: str, places: Array | Sequence[int]) -> str:
        return self.op("Gather", matrix, self.integers(places), axis=1)

    def side_by_side(self, *parts: str) -> str:
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=1)

    def reshaped(self, value: str, *shape: int) -> str:
        """0 keeps a length, -1 is what is left."""
        return self.op("Reshape", value, self.integers(shape))

    def total(self, value: str, axis: int, *, keep: bool = False) -> str:
        return self.op("ReduceSum", value, self.integers([axis]), keepdims=int(keep))

    def exp(self, value: str) -> str:
        return self.op("Exp", value)

    def log(self, value: str) -> str:
        return self.op("Log", value)
