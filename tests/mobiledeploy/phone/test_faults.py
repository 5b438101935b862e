"""The text form of faults."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.cli.phone import command as phone_command
from mobiledeploy.errors import UsageError
from mobiledeploy.phone import (
    Busy,
    Corrupt,
    Cut,
    Fault,
    Full,
    Hang,
    Kill,
    Offline,
    RefuseKeys,
    Slow,
    Throttle,
    Truncate,
    format_fault,
    parse_fault,
)
from mobiledeploy.phone.faults import KINDS

ROOT = Path(__file__).parents[3]

counts = st.integers(1, 1000) | st.just(math.inf)
sizes = st.integers(0, 1 << 40)
seconds = st.floats(0, 1e6)
faults = st.one_of(
    st.builds(
        Cut,
        bytes=st.none() | sizes,
        seconds=st.none() | seconds,
        direction=st.sampled_from(["both", "in", "out"]),
        how=st.sampled_from(["reset", "silence"]),
        down=seconds | st.just(math.inf),
        count=counts,
    ),
    st.builds(Offline, stage=st.sampled_from(["greeting", "open"]), count=counts),
    st.builds(RefuseKeys, count=counts),
    st.builds(Slow, ms=seconds),
    st.builds(Full, after=sizes),
    st.builds(
        Kill, signal=st.sampled_from(["KILL", "SEGV", "ILL", "ABRT", "BUS"]), after=seconds, count=counts
    ),
    st.builds(Hang, after=seconds, count=counts),
    st.builds(
        Throttle,
        to=st.floats(0.01, 0.99),
        after=seconds,
        cool=seconds | st.just(math.inf),
        period_ms=st.floats(1, 1000),
    ),
    st.builds(Busy, processes=st.none() | st.integers(1, 1024)),
    st.builds(Corrupt, what=st.sampled_from(["pushes", "output"]), after=sizes, count=counts),
    st.builds(Truncate, bytes=sizes, end=st.sampled_from(["exit", "close"]), count=counts),
)


@given(faults)
def test_what_is_formatted_reads_back(fault: Fault) -> None:
    assert parse_fault(format_fault(fault)) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cut", Cut()),
        ("cut:4096", Cut(bytes=4096)),
        ("cut:seconds=0.5,direction=out,down=inf,count=3", Cut(None, 0.5, "out", "reset", math.inf, 3)),
        ("offline:open", Offline("open")),
        ("refuse-keys", RefuseKeys()),
        ("slow:ms=20", Slow(20)),
        ("full:after=1000", Full(1000)),
        ("kill:SEGV,after=2", Kill("SEGV", 2)),
        ("hang", Hang()),
        ("throttle:to=0.25,cool=3", Throttle(0.25, cool=3)),
        ("busy:2", Busy(2)),
        ("corrupt:output,after=9", Corrupt("output", 9)),
        ("truncate:7,end=close", Truncate(7, "close")),
    ],
)
def test_forms(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no fault ''"),
        ("boom", "no fault 'boom'"),
        ("cut:bytes", "bytes is a number, not 'bytes'"),
        ("cut:size=3", "'size=3' is none of its fields"),
        ("cut:1,2", "'2' is none of its fields"),
        ("cut:1,bytes=2", "stands twice"),
        ("cut:bytes=-1", "0 or more"),
        ("cut:bytes=1.5", "bytes is a number"),
        ("cut:down=nan", "down is from 0 to 1e\\+06 or inf, not nan"),
        ("cut:count=0", "count is a whole number"),
        ("cut:count=1.5", "count is a whole number"),
        ("hang:after=inf", "after is from 0"),
        ("kill:USR1", "one of KILL, SEGV"),
        ("throttle:to=1", "to is a share"),
        ("throttle:to=nan", "to is a share"),
        ("throttle:period_ms=0", "period_ms is"),
        ("busy:0", "processes is"),
        ("slow:1e7", "ms is from 0"),
    ],
)
def test_what_is_none_is_said(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        parse_fault(text)
    assert raised.value.hint


def test_unknown_kinds_are_answered_with_the_known() -> None:
    with pytest.raises(UsageError) as raised:
        parse_fault("boom")
    assert all(kind in raised.value.hint for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_in_the_help_and_the_docs(kind: str) -> None:
    assert f"  {kind} " in (phone_command.help or "")
    assert f"| `{kind}` |" in (ROOT / "docs/virtual-phone.md").read_text()


def test_the_example_in_the_docs_runs(adb_server, tmp_path: Path) -> None:
    _, _, section = (ROOT / "docs/virtual-phone.md").read_text().partition("### In your own tests\n")
    _, begin, rest = section.partition("    import subprocess\n")
    code, _, _ = rest.partition("\n`VirtualPhone(")
    (tmp_path / "test_mine.py").write_text(textwrap.dedent(begin + code))
    environment = os.environ | {
        "PATH": f"{Path(adb_server.program).parent}:{os.environ['PATH']}",
        "ANDROID_ADB_SERVER_PORT": str(adb_server.port),
        "PYTHONPATH": str(ROOT),
    }
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    assert "1 passed" in completed.stdout
