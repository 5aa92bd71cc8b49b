"""Asks a server with clients of other makers, and prints what they got as JSON.

Run by a Python that has `tritonclient[http]` and `mlflow-skinny` (see test_official_clients.py):

    python official_clients.py triton|mlflow HOST PORT ROWS.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def ask_triton(host: str, port: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    import tritonclient.http as triton  # type: ignore[import-not-found]

    client = triton.InferenceServerClient(f"{host}:{port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("loans")
    assert client.is_model_ready("loans", "1")
    assert client.get_server_metadata()["name"] == "rowsmith"
    metadata = client.get_model_metadata("loans")
    kinds = {item["name"]: item["datatype"] for item in metadata["inputs"]}
    names = [item["name"] for item in metadata["outputs"]]
    answers: dict[str, Any] = {}
    for way in ("binary", "json", "gzip"):
        binary = way != "json"
        inputs = []
        for name, kind in kinds.items():
            values = [row[name] for row in rows]
            tensor = triton.InferInput(name, [len(rows), 1], kind)
            if kind == "BYTES":
                array = np.array([["" if v is None else v] for v in values], dtype=object)
            elif kind == "BOOL":
                array = np.array([[v] for v in values], dtype=bool)
            else:
                array = np.array([[np.nan if v is None else v] for v in values], dtype=np.float64)
            has_no_json = kind == "FP64" and bool(np.isnan(array).any())
            tensor.set_data_from_numpy(array, binary_data=binary or has_no_json)
            inputs.append(tensor)
        outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
        packed = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
        result = client.infer("loans", inputs, outputs=outputs, request_id="7", **(packed if way == "gzip" else {}))
        assert result.get_response()["id"] == "7"
        answers[way] = {name: [text_of(value) for value in result.as_numpy(name).tolist()] for name in names}
        answers[way].pop("id")
    try:
        client.infer("nothing", inputs)
    except triton.InferenceServerException as problem:
        answers["error"] = str(problem)
    return answers


def text_of(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def ask_mlflow(host: str, port: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    import pandas
    from mlflow.pyfunc.scoring_server import client as mlflow

    client: Any = getattr(mlflow, "ScoringServerClient")(host, port)  # noqa: B009 - it comes without types
    client.wait_server_ready(timeout=20, scoring_server_proc=None)
    got = client.invoke(pandas.DataFrame(rows)).get_predictions()
    return {"split": got.to_dict(orient="list")}


if __name__ == "__main__":
    kind, host, port, path = sys.argv[1:]
    ask = {"triton": ask_triton, "mlflow": ask_mlflow}[kind]
    print(json.dumps(ask(host, int(port), json.loads(Path(path).read_text()))))
