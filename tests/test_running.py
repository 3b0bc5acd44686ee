"""One run of this server in its folder, under a name of its own; and what is begun again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from config.running import installation, kept_up
from config.settings import SettingsError


def test_an_installation_keeps_its_name(tmp_path: Path) -> None:
    with installation(tmp_path) as first:
        pass
    with installation(tmp_path) as again:
        assert again == first


def test_an_installation_whose_name_was_never_written_gets_one(tmp_path: Path) -> None:
    """As a full disk leaves it: a name of nothing would be every installation's name."""
    (tmp_path / "installation").write_text("")
    with installation(tmp_path) as name:
        assert name
    with installation(tmp_path) as again:
        assert again == name


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    with installation(tmp_path), pytest.raises(SettingsError), installation(tmp_path):
        pass


def test_a_data_folder_that_is_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingsError, match="EMAIL_DATA_DIR cannot be used"), installation(file):
        pass


async def test_what_only_tells_begins_again_when_it_fails_and_ends_with_the_house() -> None:
    begun: list[int] = []
    third = asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise RuntimeError("a template nobody tried")
        third.set()
        await asyncio.Event().wait()

    keeping = asyncio.create_task(kept_up(work, pause_s=0))
    await third.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert begun == [0, 1, 2]
