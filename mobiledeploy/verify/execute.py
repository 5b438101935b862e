"""Run every variant on every picture on this computer, beside onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.variants import ncnn_outputs
from mobiledeploy.errors import CheckFailedError
from mobiledeploy.progress import Progress
from mobiledeploy.source.reference import open_session
from mobiledeploy.source.reference import run as run_onnx
from mobiledeploy.verify.figures import (
    REFERENCE,
    MatteFigures,
    PictureFigures,
    VariantFigures,
    Verification,
    matte_figures,
    output_figures,
)
from mobiledeploy.verify.pictures import Picture, Pictures
from ncnn_tools.runtime import Runtime

Outputs = Mapping[str, FloatArray]

_TRUTH = "truth"


def verify(
    bundle: Bundle,
    pictures: Pictures,
    *,
    precisions: Sequence[str] | None = None,
    clip: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Compare variants (all by default) with onnxruntime, and with the truth where it is known.

    `clip` says that the pictures are consecutive frames, which gives the flicker. A bundle without a mask, or an
    untrained one, has no mattes: its outputs alone are compared. Raises UsageError for a variant that is not there
    or a picture that can't be read, CheckFailedError where a variant computes NaN or infinity.
    """
    tell = progress or (lambda *_: None)
    runner = _Runner(bundle, precisions or tuple(bundle.variants))
    found: dict[str, list[PictureFigures]] = {}
    before: dict[str, FloatArray] = {}
    tell("verifying", 0, pictures.count)
    for done, picture in enumerate(pictures.items, start=1):
        outputs = runner.outputs(picture)
        mattes = _mattes(bundle, outputs, picture)
        for name in outputs:
            found.setdefault(name, []).append(_figures(name, picture, outputs, mattes, before))
        before = mattes if clip else {}
        tell("verifying", done, pictures.count)
    if all(entry.against_truth is None for entry in found[REFERENCE]):
        del found[REFERENCE]
    variants = tuple(VariantFigures(name, tuple(entries)) for name, entries in found.items())
    return Verification(bundle, pictures.source, clip, variants)


class _Runner:
    """The ONNX reference and the variants, loaded."""

    def __init__(self, bundle: Bundle, precisions: Sequence[str]) -> None:
        self._session = open_session(bundle.onnx)
        variants = [bundle.variant(precision) for precision in precisions]
        self._runtimes = {variant.precision: Runtime(variant.param, variant.bin) for variant in variants}
        self._inputs = {tensor.name: tensor.blob for tensor in bundle.inputs}
        self._outputs = {tensor.name: (tensor.blob, tensor.shape) for tensor in bundle.outputs}

    def outputs(self, picture: Picture) -> dict[str, Outputs]:
        """Return the outputs (name → array, batch of 1) of `REFERENCE` and of each variant."""
        results: dict[str, Outputs] = {REFERENCE: run_onnx(self._session, picture.inputs)}
        for precision, runtime in self._runtimes.items():
            results[precision] = ncnn_outputs(runtime, self._inputs, self._outputs, picture.inputs)
        for variant, outputs in results.items():
            for name, values in outputs.items():
                if not np.isfinite(values).all():
                    raise CheckFailedError(
                        f"{variant}: output {name!r} holds NaN or infinity on {picture.name}",
                        hint="Values too large for fp16 or a broken input do that. --precision leaves variants out.",
                    )
        return results


def _mattes(bundle: Bundle, outputs: Mapping[str, Outputs], picture: Picture) -> dict[str, FloatArray]:
    """Return the matte of each variant, H x W, and the true one under `_TRUTH`."""
    if bundle.matte is None or bundle.untrained:
        return {}
    mattes = {name: bundle.matte.alpha(values)[0] for name, values in outputs.items()}
    return mattes if picture.truth is None else {**mattes, _TRUTH: picture.truth}


def _figures(
    name: str,
    picture: Picture,
    outputs: Mapping[str, Outputs],
    mattes: Mapping[str, FloatArray],
    before: Mapping[str, FloatArray],
) -> PictureFigures:
    """Compare one variant's outputs and matte of one picture; `before` has the mattes of the frame before."""

    def compare(other: str) -> MatteFigures | None:
        if name == other or other not in mattes:
            return None
        known = name in before and other in before
        return matte_figures(mattes[name], mattes[other], (before[name], before[other]) if known else None)

    expected = {} if name == REFERENCE else outputs[REFERENCE]
    return PictureFigures(
        picture=picture.name,
        outputs={
            output: output_figures(outputs[name][output], values) for output, values in expected.items()
        },
        against_onnx=compare(REFERENCE),
        against_truth=compare(_TRUTH),
    )
