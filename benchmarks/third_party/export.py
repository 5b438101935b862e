"""Export the networks, to ONNX as `mobiledeploy convert` does it, and to TorchScript for pnnx.

    python -m benchmarks.third_party.export DIR [--networks NAME,…]

Leaves DIR/onnx/NAME.onnx and DIR/pt/NAME.pt; those that are there stay. One process a network, and a timeout.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.third_party.names import NAMES, selection

TIMEOUT_S = 900


def onnx_file(folder: Path, name: str) -> Path:
    """Return where a network's ONNX file lies."""
    return folder / "onnx" / f"{name}.onnx"


def torchscript_file(folder: Path, name: str) -> Path:
    """Return where a network's TorchScript file lies."""
    return folder / "pt" / f"{name}.pt"


def export(name: str, folder: Path) -> str:
    """Export one network; returns how far the ONNX file is from torch and what the simplifier did."""
    import torch

    from benchmarks.third_party.networks import create
    from mobiledeploy.source.export import check_onnx, export_onnx
    from mobiledeploy.source.simplify import simplify_onnx

    network = create(name)
    target, script = onnx_file(folder, name), torchscript_file(folder, name)
    for file in (target, script):
        file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        traced = Path(temporary, "traced.pt")
        torch.jit.trace(network.module, torch.randn(network.input_shape), check_trace=False).save(traced)
        script.write_bytes(traced.read_bytes())
        exported = Path(temporary, "exported.onnx")
        export_onnx(network.module, [network.input_shape], exported)
        error = check_onnx(exported, network.module, [network.input_shape], tolerance=1e-3)
        simplification = simplify_onnx(exported, target)
    return f"onnxruntime vs torch {error:.1e} {simplification.reason}"


def main() -> None:
    """Export all networks that are named, each in a process of its own, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--networks", type=selection, default=list(NAMES))
    parser.add_argument("--here", action="store_true", help="export in this process")
    options = parser.parse_args()
    if options.here:
        for name in options.networks:
            print(export(name, options.folder))
        return
    for name in options.networks:
        if onnx_file(options.folder, name).is_file() and torchscript_file(options.folder, name).is_file():
            continue
        command = [sys.executable, "-m", __spec__.name, "--here", str(options.folder), "--networks", name]
        try:
            process = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            print(f"{name}: longer than {TIMEOUT_S} s", flush=True)
            continue
        lines = (process.stdout if process.returncode == 0 else process.stderr).strip().splitlines()
        print(f"{name}: {lines[-1] if lines else f'exit {process.returncode}'}", flush=True)


if __name__ == "__main__":
    main()
