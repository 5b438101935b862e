"""From what a person has (a checkpoint and its network, or an ONNX file) to a checked, simplified ONNX file.

`checkpoint` and `network` load, `export` writes ONNX and compares it with torch, `onnx_file` takes an ONNX
file made elsewhere, `simplify` folds its constants. Nothing is imported here: torch takes seconds.
"""
