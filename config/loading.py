"""From text to the frozen tree, or a refusal to start that names the setting and the cure.

Neighbours: config/environment.py reads, config/settings.py has the fields,
config/contradictions.py objects to what cannot stand together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.branch import Branch
from config.contradictions import MAKE_A_KEY, objections
from config.describing import kind
from config.environment import find
from config.settings import BRANCHES, Settings, SettingsError


def load(environ: Mapping[str, str], env_file: Path | None) -> Settings:
    """The settings of the process environment over those of `env_file` (None: no file).

    Raises SettingsError with one sentence a line, in a fixed order, without any value: first
    what the sources hold that is no setting, then bad values, then contradictions.
    """
    found = find(environ, env_file)
    if found.faults:  # what they hide would only be called missing
        raise SettingsError("\n".join(found.faults))
    values = _with_borrowed(found.values)
    faults: list[str] = []
    branches: dict[str, Any] = {}
    for attribute, branch in BRANCHES.items():
        own = {name: values[name.upper()] for name in branch.model_fields if name.upper() in values}
        try:
            branches[attribute] = branch.model_validate(own)
        except ValidationError as error:
            faults.extend(_sentence(branch, fault) for fault in error.errors(include_url=False))
    if not faults:
        settings = Settings(**branches)
        faults.extend(objections(settings))
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def _with_borrowed(values: Mapping[str, str]) -> dict[str, str]:
    """The login at the relay is EMAIL_ADDRESS's, unless it has its own or there is none."""
    borrowed = dict(values)
    if "EMAIL_PASSWORD" in borrowed:
        borrowed.setdefault("SMTP_PASSWORD", borrowed["EMAIL_PASSWORD"])
    if "SMTP_PASSWORD" in borrowed and "EMAIL_ADDRESS" in borrowed:
        borrowed.setdefault("SMTP_USERNAME", borrowed["EMAIL_ADDRESS"])
    return borrowed


def _sentence(branch: type[Branch], fault: ErrorDetails) -> str:
    field = str(fault["loc"][0])
    name = field.upper()
    if fault["type"] == "missing":
        cure = MAKE_A_KEY if field == "secret_key" else "write it into .env or the environment."
        return f"{name} is not set; {cure}"
    if fault["type"] == "value_error":
        return f"{name} {fault['ctx']['error']}."
    return f"{name} must be {kind(branch, field)}."
