"""What the load of 1 GiB of ONNX weights takes, by phase, beside ONNX Runtime alone.

    python -m bench.stack.large_model [--rounds 5]

Prints medians and saves nothing; takes three minutes, 3 GiB of the temporary folder and as much memory. Each
side of a round is a new process, with the files in the page cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.engines.cpu import command_cpu_seconds
from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model.artefact import ONNX

WIDTH, LAYERS = 4096, 16  # of float32: 64 MiB a layer
TIDEGATE: Final = {
    "": """import sys
from pathlib import Path
from tidegate.service.model.artefact import load
from tidegate.service.model.loaded_model import inline_rows, open_predictor""",
    "digests of the files": "artefact = load(Path(sys.argv[1]).parent)",
    "session, first prediction": "predictor, rows = open_predictor(artefact)",
    "predictions that are timed": """resize = predictor.inputs.resize
inline_rows(predictor.predict, lambda count: resize(rows, count))""",
}
ALONE: Final = {
    "": """import sys
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1""",
    "session": "onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])",
}
MARK: Final = "\nprint(time.process_time(), time.perf_counter())\n"


def main() -> None:
    """Write the model, load it in turns, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        whole, out = Path(name) / "whole.onnx", Path(name) / "artefact"
        _write(whole)
        import_model(whole, out)
        sides = (
            ("Tidegate", TIDEGATE, out / ONNX),
            ("ONNX Runtime alone, the same files", ALONE, out / ONNX),
            ("ONNX Runtime alone, the weights in the graph's file", ALONE, whole),
        )
        found = [[_phases(phases, file) for _, phases, file in sides] for _ in range(rounds)]
    print("| side | phase | s CPU | s |\n| --- | --- | ---: | ---: |")
    for (side, phases, _), turns in zip(sides, zip(*found, strict=True), strict=True):
        for phase, each in zip([*phases][1:], zip(*turns, strict=True), strict=True):
            _print_row(side, phase, each)
        if len(phases) > 2:
            _print_row(side, "together", [np.sum(turn, axis=0) for turn in turns])


def _print_row(side: str, phase: str, rounds: object) -> None:
    cpu, wall = np.median(np.asarray(rounds), axis=0)
    print(f"| {side} | {phase} | {cpu:.2f} | {wall:.2f} |")


def _write(file: Path) -> None:
    """A product of matrices in one file."""
    random = np.random.default_rng(0)
    names = [f"x{i}" for i in range(LAYERS + 1)]
    shape: list[str | int | None] = ["rows", 1, WIDTH]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [x, f"w{x}"], [y]) for x, y in pairwise(names)],
        "graph",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(
                random.normal(0, WIDTH**-0.5, (WIDTH, WIDTH)).astype(np.float32), f"w{x}"
            )
            for x in names[:-1]
        ],
    )
    opset = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), str(file))


def _phases(phases: dict[str, str], file: Path) -> list[tuple[float, float]]:
    """The CPU and the time of each phase in a new process, after its imports, the first one."""
    program = "import time\n" + "".join(code + MARK for code in phases.values())
    _, shown = command_cpu_seconds([sys.executable, "-P", "-c", program, str(file)])
    try:
        marks = [tuple(map(float, line.split())) for line in shown.splitlines()]
        return [(cpu - cpu_0, at - at_0) for (cpu_0, at_0), (cpu, at) in pairwise(marks)]
    except ValueError:
        raise SystemExit(shown) from None


if __name__ == "__main__":
    main()
