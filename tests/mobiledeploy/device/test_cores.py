from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.device.cores import clusters, core_mask
from mobiledeploy.device.facts import Core, DeviceFacts, parse_facts
from mobiledeploy.errors import UsageError


def phone(*max_khz: int | None) -> DeviceFacts:
    lines = "".join(f"{index} {khz or ''}\n" for index, khz in enumerate(max_khz))
    facts = parse_facts(f"=clocks=\n{lines}", serial="S1", transport="usb")
    assert facts.cores == tuple(Core(index, khz, None, None) for index, khz in enumerate(max_khz))
    return facts


LITTLE, MID, BIG, PRIME = 1785600, 2000000, 2419200, 2841600

# The chips that these are modelled on: Kirin 970, Snapdragon 855, 675, 8 Gen 3 (numbered as there), Tensor G1, 8 Elite.
SETS = [
    ("4+4", (*[LITTLE] * 4, *[BIG] * 4), "f", "f0", None),
    ("4+3+1", (*[LITTLE] * 4, *[BIG] * 3, PRIME), "f", "70", "80"),
    ("6+2", (*[LITTLE] * 6, *[BIG] * 2), "3f", "c0", None),
    ("2+3+2+1", (*[LITTLE] * 2, *[BIG] * 3, *[MID] * 2, PRIME), "3", "7c", "80"),
    ("4+2+2", (*[LITTLE] * 4, *[BIG] * 2, *[PRIME] * 2), "f", "30", "c0"),
    ("1+3+4", (PRIME, *[BIG] * 3, *[LITTLE] * 4), "f0", "e", "1"),
    ("4+4 of three clocks", (*[LITTLE] * 2, *[MID] * 2, *[BIG] * 4), "3", "fc", None),
    ("one asleep", (*[LITTLE] * 4, *[BIG] * 3, None), "f", "70", None),
]


@pytest.mark.parametrize(
    ("clocks", "little", "big", "prime"), [case[1:] for case in SETS], ids=[c[0] for c in SETS]
)
def test_sets_by_name(clocks: tuple[int | None, ...], little: str, big: str, prime: str | None) -> None:
    facts = phone(*clocks)
    assert core_mask(facts, "all") == "ff"
    assert core_mask(facts, "little") == little
    assert core_mask(facts, "Big") == big
    if prime is not None:
        assert core_mask(facts, "prime") == prime
    else:
        with pytest.raises(UsageError, match="no small cluster") as raised:
            core_mask(facts, "prime")
        assert "GHz" in raised.value.hint


@pytest.mark.parametrize("name", ["big", "little", "prime"])
@pytest.mark.parametrize(
    ("clocks", "why", "hint"),
    [
        ((LITTLE,) * 8, "the same highest clock", "cores 0-7: 1.79 GHz"),
        ((None,) * 4, "does not tell its cores' clocks", "cores 0-3: clock unknown"),
        ((LITTLE, None, LITTLE), "the same highest clock", "cores 0,2: 1.79 GHz\ncores 1: clock unknown"),
    ],
)
def test_no_sets_where_the_clocks_do_not_differ(
    name: str, clocks: tuple[int | None, ...], why: str, hint: str
) -> None:
    facts = phone(*clocks)
    assert int(core_mask(facts, "all"), 16) == 2 ** len(clocks) - 1
    with pytest.raises(UsageError, match=why) as raised:
        core_mask(facts, name)
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("0xF0", "f0"),
        ("0X0f", "f"),
        ("4-7", "f0"),
        ("0,4-6", "71"),
        (" 3 ", "8"),
        ("0, 2", "5"),
        ("1,1-2", "6"),
    ],
)
def test_masks_and_lists(text: str, mask: str) -> None:
    assert core_mask(phone(*[LITTLE] * 8), text) == mask


@pytest.mark.parametrize("text", ["", "fast", "F0", "7-4", "1,", "-1", "0x", "0xg", "٣", "1-2-3", "12345"])
def test_what_names_no_cores(text: str) -> None:
    with pytest.raises(UsageError, match="no set of cores") as raised:
        core_mask(phone(*[LITTLE] * 8), text)
    assert "big, little, prime" in raised.value.hint


@pytest.mark.parametrize(("text", "missing"), [("0x1F0", "8"), ("6-9", "8, 9"), ("0xffff", "8, 9, 10")])
def test_cores_that_the_device_does_not_have(text: str, missing: str) -> None:
    with pytest.raises(UsageError, match=f"has no core {missing}"):
        core_mask(phone(*[LITTLE] * 8), text)


def test_an_empty_set() -> None:
    with pytest.raises(UsageError, match="no core in '0x0'"):
        core_mask(phone(LITTLE), "0x0")
    with pytest.raises(UsageError, match="no core in 'all'"):
        core_mask(phone(), "all")


chips = st.lists(st.sampled_from([LITTLE, MID, BIG, PRIME, None]), min_size=1, max_size=12)


@given(chips)
def test_the_named_sets_part_the_known_cores_by_clock(clocks: list[int | None]) -> None:
    facts = phone(*clocks)
    sets = []
    for name in ("little", "big", "prime"):
        try:
            mask = int(core_mask(facts, name), 16)
        except UsageError:
            continue
        sets.append([clocks[core] or 0 for core in range(len(clocks)) if mask >> core & 1])
    known = [clock for clock in clocks if clock]
    if len(set(known)) < 2:
        assert sets == []
    else:
        assert sorted(clock for members in sets for clock in members) == sorted(known)
        for slower, faster in itertools.pairwise(sets):
            assert max(slower) < min(faster)
        assert len(set(sets[0])) == 1
        assert len(sets) == 2 or len(sets[2]) <= 2
    assert sum(len(cluster.cores) for cluster in clusters(facts)) == len(known)
