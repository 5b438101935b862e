"""Models whose layers run each in a precision and by an algorithm of its own."""

from __future__ import annotations

from ncnn_tools.mixed.apply import Stock, mix
from ncnn_tools.mixed.choice import FLOAT16, FLOAT32, Choice, Precision, choices_of

__all__ = ["FLOAT16", "FLOAT32", "Choice", "Precision", "Stock", "choices_of", "mix"]
