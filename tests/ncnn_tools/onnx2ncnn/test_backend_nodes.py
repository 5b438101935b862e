"""The node tests that the onnx package ships: none fails, and the counts in the documentation are those of today."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.backend_nodes import Result, Verdict, markdown, run_all, section

DOCUMENT = Path(__file__).parents[3] / "docs" / "operators.md"


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run_all()


def test_none_fails(results: list[Result]) -> None:
    assert [result for result in results if result.verdict is Verdict.FAILED] == []


def test_what_does_not_pass_has_a_reason(results: list[Result]) -> None:
    assert len(results) > 1500
    assert all(result.reason for result in results if result.verdict is not Verdict.PASSED)


def test_the_documentation_holds_the_counts(results: list[Result]) -> None:
    written = section(DOCUMENT.read_text())
    assert written == markdown(results), "python -m benchmarks.backend_nodes --write docs/operators.md"
