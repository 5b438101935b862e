from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_every_layer_on_pictures_and_a_plot(command, tiny_bundle, workshop: Path, tmp_path: Path) -> None:
    options = ("--images", workshop / "pictures", "--plot", tmp_path / "tiny.svg", "--format", "csv")
    outcome = command("sensitivity", tiny_bundle.path, *options)
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    layers = tiny_bundle.manifest["variants"]["int8"]["int8_layers"]
    assert sorted(row["layer"] for row in rows) == sorted(layers)
    snr = [float(row["SNR (dB)"]) for row in rows]
    assert snr == sorted(snr)
    assert (tmp_path / "tiny.svg").read_text().startswith("<?xml")
    assert f"wrote {tmp_path / 'tiny.svg'}" in outcome.err


def test_json_is_the_whole(command, tiny_bundle) -> None:
    document = json.loads(command("sensitivity", tiny_bundle.path, "--format", "json").out)
    assert (document["source"], document["inputs"]) == ("samples", 4)
    assert set(document["together"]) == {"noise_to_signal", "alpha_mae", "mask_iou", "snr_db"}
    assert document["layers"][0]["noise_to_signal"] >= document["layers"][-1]["noise_to_signal"]
    assert 0 <= document["layers"][0]["sources"]["activation_share"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--plot", "a.pdf"), ".svg or .png"), (("--images", "nowhere"), "no such folder")],
)
def test_requests_that_cannot_be_met(command, tiny_bundle, arguments, message: str) -> None:
    outcome = command("sensitivity", tiny_bundle.path, *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_matplotlib_is_imported_for_plots_alone(tiny_bundle) -> None:
    code = (
        "import sys; from mobiledeploy.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    arguments = [sys.executable, "-c", code, "sensitivity", str(tiny_bundle.path)]
    assert subprocess.run(arguments, capture_output=True, check=False).returncode == 0
