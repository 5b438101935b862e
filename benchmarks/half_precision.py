"""How well fp16 as it is emulated here predicts fp16 on a phone, as Markdown.

    python benchmarks/half_precision.py BUNDLE... --pictures DIR [--count 4] [--cpu cortex-a76]

runs the fp16 variants on pictures, emulated and on a virtual phone with this CPU, and prints for each output the SNR
against the fp32 variant by both, the ratio of the errors (root mean square, emulated over device), and the same ratio
over all blobs of the network on the first picture: its median, and the middle nine tenths.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.device import Device, open_device
from mobiledeploy.diff.ncnn_source import DeviceSource
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.preprocessing import list_images
from ncnn_tools.files import load
from ncnn_tools.half_precision import HalfEmulation
from ncnn_tools.runtime import Runtime

Arrays = Mapping[str, np.ndarray]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--cpu", default="cortex-a76")
    arguments = parser.parse_args()
    pictures = list_images(arguments.pictures)[: arguments.count]
    print(
        "| network | output | SNR emulated (dB) | SNR on the phone (dB) | ratio of errors | ratio over blobs |"
    )
    print("| --- | --- | ---: | ---: | ---: | --- |")
    with VirtualPhone(cpu=arguments.cpu) as phone, open_device(phone.serial) as device, device.exclusive():
        for path in arguments.bundles:
            print_rows(open_bundle(path), pictures, device)


def print_rows(bundle: Bundle, pictures: list[Path], device: Device) -> None:
    """Print one row an output."""
    graphs = {
        precision: load(bundle.variant(precision).param, bundle.variant(precision).bin)
        for precision in ("fp32", "fp16")
    }
    reference, emulation = Runtime.from_graph(graphs["fp32"]), HalfEmulation(graphs["fp16"])
    remote = DeviceSource("phone", bundle, "fp16", device, lambda *_: None)
    blob_of = {tensor.key: tensor.name for tensor in remote.tensors}
    power = {
        name: np.zeros(3) for name in blob_of.values()
    }  # of values, emulated errors, errors on the phone
    first: dict[str, float] = {}
    for number, picture in enumerate(pictures):
        sample = bundle.preprocessing.load(picture)
        keys = list(blob_of) if number == 0 else list(remote.outputs)
        there = {blob_of[key]: array for key, array in remote.values(keys, [sample]).items()}
        feeds = {bundle.inputs[0].blob: sample[0]}
        here: dict[str, np.ndarray] = {}
        for step in emulation.steps(feeds, heal=False):
            here |= {blob: step.outputs[blob] for blob in step.outputs if blob in there}
        for blob, right in reference.run(feeds, there).items():
            power[blob] += [
                np.square(array).sum() for array in (right, here[blob] - right, there[blob] - right)
            ]
        if number == 0:
            first = {blob: ratio(entry) for blob, entry in power.items() if entry[1] > 0 and entry[2] > 0}
    low, middle, high = np.quantile(list(first.values()), (0.05, 0.5, 0.95))
    for tensor in bundle.outputs:
        signal, emulated, device_noise = power[blob_of[tensor.name]]
        decibels = [10 * np.log10(signal / noise) for noise in (emulated, device_noise)]
        print(
            f"| {bundle.name} | {tensor.name} | {decibels[0]:.1f} | {decibels[1]:.1f} "
            f"| {ratio(power[blob_of[tensor.name]]):.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) |",
            flush=True,
        )


def ratio(power: np.ndarray) -> float:
    """Return the emulated error over the phone's, as root mean squares."""
    return float(np.sqrt(power[1] / power[2]))


if __name__ == "__main__":
    main()
