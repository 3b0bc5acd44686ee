"""`server.py check`: what is wrong is told with its cure, and the exit code says so."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import checkup
from config.checkup import Item
from config.loading import load
from config.settings import Settings
from tests.servers.knot import KnotServer
from tests.servers.no_names import no_names
from tests.servers.process import free_port
from tests.servers.tls import TlsFiles, make_tls_files


def settings(folder: Path, **more: object) -> Settings:
    named = {
        "ai_api_url": "https://ai.example",
        "email_address": "ai@house.example",
        "smtp_host": "relay.example",
        "secret_key": "0123456789abcdef0123456789abcdef",
        "email_data_dir": folder,
        "dns_servers": no_names(),
        "dns_timeout": 0.3,
        **more,
    }
    return load({name.upper(): str(value) for name, value in named.items()}, None)


def items(capsys: pytest.CaptureFixture[str], chosen: Settings) -> dict[str, Item]:
    code = checkup.main(chosen, as_json=True)
    found = [Item(**item) for item in json.loads(capsys.readouterr().out)]
    assert code == (0 if all(item.well for item in found) else 1)
    assert all(bool(item.cure) != item.well for item in found)
    return {item.name: item for item in found}


def test_a_house_in_order_is_well(
    tmp_path: Path, tls_files: TlsFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"tls_cert_file": tls_files.cert_file, "tls_key_file": tls_files.key_file}
    with KnotServer({"house.example": "@ MX 10 mail\nmail A 192.0.2.1"}) as dns:
        found = items(capsys, settings(tmp_path, dns_servers=dns.address, **files))
    assert {name for name, item in found.items() if not item.well} == set()
    assert "no network" in found["cell"].told
    assert "house.example has an MX" in found["DNS"].told
    assert "postmaster@house.example, which every reply names" in found["operator"].told


def test_what_is_wrong_names_its_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soon = make_tls_files(tmp_path / "tls", expires=datetime.now(UTC))
    wrong = settings(
        tmp_path,
        dns_servers=f"127.0.0.1:{free_port()}",
        clamd_host="127.0.0.1",
        clamd_port=free_port(),
        spamd_host="127.0.0.1",
        spamd_port=free_port(),
        disk_free_min_bytes=10**18,
        tls_cert_file=soon.cert_file,
        tls_key_file=soon.key_file,
    )
    found = items(capsys, wrong)
    cures = {name: item.cure for name, item in found.items() if not item.well}
    assert set(cures) == {"DNS", "clamd", "spamd", "disk", "certificate"}
    for name, words in (("DNS", "DNS_SERVERS"), ("clamd", "CLAMD_HOST"), ("spamd", "SPAMD_HOST"),
                        ("disk", "DISK_FREE_MIN_BYTES"), ("certificate", "renew")):  # fmt: skip
        assert words in cures[name]
    assert checkup.main(wrong, as_json=False) == 1
    assert "NOT OK" in capsys.readouterr().out


def test_a_domain_that_nobody_can_write_to_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = items(capsys, settings(tmp_path))["DNS"]
    assert (item.well, "house.example has no MX" in item.told) == (False, True)


async def test_whatever_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def hangs(_: Settings) -> tuple[str, str]:
        await asyncio.Event().wait()
        return "", ""

    monkeypatch.setattr(checkup, "ITEM_S", 0.05)
    item = await checkup._within("slow", hangs, settings(tmp_path))
    assert (item.well, "no answer within" in item.told) == (False, True)
