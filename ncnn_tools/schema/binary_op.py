"""What BinaryOp computes, by its `op_type` (src/layer/binaryop.h)."""

from __future__ import annotations

ADD, SUB, MUL, DIV, MAX, MIN, POW = range(7)
# With the operands in the other order: b - a, b / a, b to the power of a.
REVERSED_SUB, REVERSED_DIV, REVERSED_POW = 7, 8, 9
