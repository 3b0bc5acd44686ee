"""The settings in words, for people: the list, and .env.example."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.branch import Branch
from config.settings import BRANCHES

_KINDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    SecretStr: "secret text",
    Path: "a file path",
    tuple: "a list separated by commas",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One setting as the administrator meets it."""

    name: str
    kind: str  # its type, in words
    default: str  # as it would be written in .env, "" for not set
    required: bool
    secret: bool
    sentence: str
    branch: str  # what its branch is about

    def shown(self, values: Mapping[str, str]) -> str:
        """What `values` say of it, fit for a screen: a secret only as set or not set."""
        value = values.get(self.name, "")
        if self.secret:
            return "set" if value else "not set"
        return value or self.default or "not set"


def describe() -> list[Described]:
    """Every setting, in the order of the tree."""
    return [
        Described(
            name=field.upper(),
            kind=kind(branch, field),
            default=_written(info.default),
            required=info.is_required(),
            secret=info.annotation is SecretStr,
            sentence=info.description or "",
            branch=(branch.__doc__ or "").partition("\n")[0],
        )
        for branch in BRANCHES.values()
        for field, info in branch.model_fields.items()
    ]


def kind(branch: type[Branch], field: str) -> str:
    """The type of a setting in words, as in "SMTP_PORT must be …"."""
    info = branch.model_fields[field]
    inner = info.annotation
    if isinstance(inner, types.UnionType):  # a path that may be absent
        inner = typing.get_args(inner)[0]
    if typing.get_origin(inner) is Literal:
        *others, last = typing.get_args(inner)
        return f"{', '.join(others)} or {last}" if others else str(last)
    words = _KINDS[typing.get_origin(inner) or inner]
    return " ".join((words, *_bounds(info)))


def _bounds(info: FieldInfo) -> list[str]:
    limits = {type(limit): limit for limit in info.metadata}
    words = []
    if isinstance(over := limits.get(Gt), Gt):
        words.append(f"above {over.gt}")
    if isinstance(least := limits.get(Ge), Ge):
        words.append(f"from {least.ge}" if Le in limits else f"of at least {least.ge}")
    if isinstance(most := limits.get(Le), Le):
        words.append(f"to {most.le}")
    return words


def _written(default: object) -> str:
    if default is None or default is PydanticUndefined or isinstance(default, SecretStr):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)


def env_example() -> str:
    """The text of .env.example: all settings by branch, commented out unless required."""
    lines = [
        "# Every setting, with its default. Copy this file to .env and fill in what has no #.",
        "# Written by `server.py settings --example`; a test keeps it fresh.",
    ]
    branch = ""
    for setting in describe():
        if setting.branch != branch:
            branch = setting.branch
            lines += ["", "", f"# == {branch.rstrip('.')} =="]
        mark = "" if setting.required else "#"
        lines += [
            "",
            f"# {setting.sentence}",
            f"# {setting.kind.capitalize()}.",
            f"{mark}{setting.name}={setting.default}",
        ]
    return "\n".join(lines) + "\n"
