from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mobiledeploy.phone import VirtualPhone


@pytest.fixture
def chosen_phone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VirtualPhone]:
    """A virtual phone as the chosen device, whatever is connected to this computer."""
    with VirtualPhone(tmp_path / "phone") as phone:
        monkeypatch.setenv("ANDROID_SERIAL", phone.serial)
        yield phone
