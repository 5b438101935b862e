from __future__ import annotations

import csv
import io
import json

import pytest

from mobiledeploy.report.formats import FORMATS, render

ROWS = [{"model": "a", "ms": 1.5}, {"model": "b", "ms": None}]


def test_markdown_is_exact() -> None:
    assert (
        render(["model", "ms"], ROWS, "markdown") == "| model | ms |\n| --- | ---: |\n| a | 1.5 |\n| b |  |"
    )


def test_csv_is_exact() -> None:
    assert render(["model", "ms"], ROWS, "csv") == "model,ms\na,1.5\nb,"


def test_json_is_the_document_where_there_is_one() -> None:
    assert json.loads(render(["model"], ROWS, "json")) == ROWS
    assert json.loads(render(["model"], ROWS, "json", document={"schema": 1})) == {"schema": 1}


def test_table_aligns_numbers_to_the_right() -> None:
    lines = render(
        ["name", "ms"], [{"name": "x", "ms": "1.0"}, {"name": "y", "ms": "10.0"}], "table"
    ).splitlines()
    assert lines[2].endswith(" 1.0")
    assert lines[3].endswith("10.0")


@pytest.mark.parametrize(
    "text", ["a|b", "<script>", "[red]x[/red]", "line\nbreak", "&amp;", "", "*", "ü 模型"]
)
@pytest.mark.parametrize("form", FORMATS)
def test_any_text_stays_one_cell(form: str, text: str) -> None:
    output = render(["name", "ms"], [{"name": text, "ms": 1}], form)
    if form == "markdown":
        row = output.splitlines()
        assert len(row) == 3
        assert row[2].replace("\\|", "").count("|") == 3
        assert "<script>" not in output
    elif form == "csv":
        assert list(csv.reader(io.StringIO(output)))[1] == [text, "1"]
    elif form == "json":
        assert json.loads(output)[0]["name"] == text
    else:
        assert text.splitlines()[0] in output if text else True


def test_no_rows_leave_the_header() -> None:
    assert render(["a", "b"], [], "markdown") == "| a | b |\n| --- | --- |"
    assert "a" in render(["a", "b"], [], "table")


@pytest.mark.parametrize("form", ["table", "markdown"])
@pytest.mark.parametrize("text", ["\x1b[31mred", "bell\x07", "\u202eesrever", "\x9b2J"])
def test_nothing_that_a_terminal_acts_on_comes_through(form: str, text: str) -> None:
    output = render(["name"], [{"name": text}], form)
    assert all(character.isprintable() for character in output.replace("\n", ""))


def test_markdown_shows_no_pictures_and_links() -> None:
    output = render(["name"], [{"name": "![x](http://a/b)"}], "markdown")
    assert output.endswith("| !\\[x\\](http://a/b) |")
