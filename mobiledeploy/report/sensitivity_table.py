"""The sensitivity of a bundle's int8 layers as a table: one row a layer, the worst first."""

from __future__ import annotations

import math

from mobiledeploy.report.formats import Table
from mobiledeploy.sensitivity.figures import ALPHA_MAE, MASK_IOU, NOISE, LayerFigures, Sensitivity, to_db
from ncnn_tools.quantization import ErrorSources

# Where a cause is worth naming; docs/quantization.md says what each means.
_SPREAD = 8.0  # a channel that reaches so many times as far as the median one takes three of the eight bits
_PEAK = 16.0  # normally distributed values reach 4 to 5 times their rms, those behind a ReLU up to 7
_CLIPPED = 0.5  # of the error
_FEW_STEPS = 8.0
_MOST_OF_IT = 0.8  # what the note counts layers up to


def sensitivity_table(found: Sensitivity) -> Table:
    """Return columns and rows."""
    columns = ["layer", "type", "kernel", "channels", "size", "MACs (%)", "SNR (dB)", "error (%)"]
    matte = ALPHA_MAE in found.together
    columns += ["alpha MAE", "mask IoU"] if matte else []
    columns += ["from input (%)", "cause"]
    return columns, [_row(found, layer) for layer in found.layers]


def _row(found: Sensitivity, layer: LayerFigures) -> dict[str, object]:
    row: dict[str, object] = {
        "layer": layer.name,
        "type": layer.type,
        "kernel": layer.kernel,
        "channels": f"{layer.channels[0]}→{layer.channels[1]}",
        "size": "x".join(map(str, layer.size)),
        "MACs (%)": f"{100 * layer.macs / found.macs:.1f}" if found.macs else None,
        "SNR (dB)": _db(layer.snr_db),
        "error (%)": f"{100 * found.share(layer):.1f}",
        "from input (%)": f"{100 * layer.sources.activation_share:.0f}",
        "cause": cause(layer.sources),
    }
    if ALPHA_MAE in layer.errors:
        row |= {
            "alpha MAE": f"{layer.errors[ALPHA_MAE]:.5f}",
            "mask IoU": f"{layer.errors[MASK_IOU]:.4f}",
        }
    return row


def cause(sources: ErrorSources) -> str:
    """Say in a few words where most of a layer's error comes from, and which of its channels are dead."""
    words = _input_cause(sources) if sources.activation_share > 0.5 else _weight_cause(sources)
    dead = [
        f"{count} dead {what}{'s' if count > 1 else ''}"
        for count, what in ((sources.dead_inputs, "input channel"), (sources.dead_outputs, "output"))
        if count
    ]
    return "; ".join([words, *dead])


def _input_cause(sources: ErrorSources) -> str:
    if sources.channel_spread > _SPREAD:
        return (
            f"input: channel {sources.peak_channel} reaches {sources.channel_spread:.0f} times "
            "as far as the median channel"
        )
    if sources.peak_to_rms > _PEAK:
        return f"input: outliers, {sources.peak_to_rms:.0f} times the rms"
    if sources.clipped_share > _CLIPPED:
        return f"input: clipping makes {100 * sources.clipped_share:.0f} % of its error"
    if sources.steps < _FEW_STEPS:
        return f"input: its rms is {sources.steps:.1f} steps"
    return "input: rounding"


def _weight_cause(sources: ErrorSources) -> str:
    if sources.weight_peak_to_rms > _PEAK:
        return f"weights: outliers, {sources.weight_peak_to_rms:.0f} times the rms"
    return "weights: rounding"


def footnotes(found: Sensitivity) -> list[str]:
    """Return what a reader must know beside the table."""
    of = "" if found.inputs == found.available else f" of {found.available}, evenly spaced,"
    where = "of the bundle's own samples" if found.source == "samples" else f"in {found.source}"
    together = _db(to_db(found.together[NOISE]))
    notes = [
        f"{found.bundle.name}, {found.inputs} inputs{of} {where}: each layer alone in int8, all else in fp32, "
        "against fp32.",
        f"All {len(found.layers)} layers together (without chains): SNR {together} dB; the sum "
        f"of their errors would be {_db(to_db(found.noise))} dB.",
    ]
    if found.noise and math.isfinite(found.noise):
        count = _count(found)
        notes.append(f"{count} of them {'makes' if count == 1 else 'make'} {_MOST_OF_IT:.0%} of that sum.")
    if found.bundle.untrained:
        notes.append("Untrained: random weights, so its mattes are not judged.")
    return notes


def _count(found: Sensitivity) -> int:
    """Return how many layers, the worst first, make most of the error."""
    total = 0.0
    for count, layer in enumerate(found.layers, start=1):
        total += found.share(layer)
        if total >= _MOST_OF_IT:
            return count
    return len(found.layers)


def _db(value: float) -> str:
    return f"{value:.1f}"
