from __future__ import annotations

import pytest

from mobiledeploy.errors import UsageError
from mobiledeploy.report.layer_table import layer_table


def test_one_row_a_layer(make_run, counted) -> None:
    columns, rows = layer_table([make_run(counted(80_000_000), timed=False)])
    assert [[row[column] for column in columns] for row in rows] == [
        ["cortex-a53", "tiny", "fp32", "conv", "Convolution", "60.00", "75.0"],
        ["cortex-a53", "tiny", "fp32", "up", "Interp", "20.00", "25.0"],
    ]


def test_without_counts_there_is_none(make_run) -> None:
    with pytest.raises(UsageError, match="no run has counted"):
        layer_table([make_run({})])
