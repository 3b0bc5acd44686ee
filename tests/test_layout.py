"""The rooms of the house: what stands where, and who may know whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ROOMS = {"config", "smtpd", "handlers", "templates", "dkim", "tests"}
ROOT_FILES = {
    "server.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock", "Makefile",
    "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", ".env.example", ".gitignore",
    ".dockerignore", ".gitattributes", ".ci", ".git",
    "Dockerfile", "docker-compose.yml",
}  # fmt: skip

# Who stands below whom. A module may know its own storey and those beneath it.
GROUND = {
    "config", "config.settings", "config.branch", "config.checks_settings",
    "config.courtesy_settings", "config.api_settings", "config.fields", "config.loading",
    "config.environment", "config.describing", "config.contradictions", "config.ourselves",
    "config.database",
}  # fmt: skip
STOREYS = ("ground", "smtpd", "handlers", "config", "server")

MAY_CATCH_EVERYTHING = {"smtpd/session.py", "handlers/worker.py", "smtpd/checks/verifier.py"}
MAY_READ_THE_ENVIRONMENT = ("config/", "server.py")
LINES_MAX = 400


def ignored() -> list[str]:
    lines = (ROOT / ".gitignore").read_text().splitlines()
    return [line.strip("/") for line in lines if line and not line.startswith("#")]


def ours(path: Path) -> bool:
    """Part of the project, not something a run left behind."""
    patterns = ignored()
    names = path.relative_to(ROOT).parts
    return not any(fnmatch(name, pattern) for name in names for pattern in patterns)


def modules(*rooms: str) -> list[Path]:
    found = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return [path for path in found if ours(path)]


def production() -> list[Path]:
    server = ROOT / "server.py"
    return modules("config", "smtpd", "handlers") + ([server] if server.exists() else [])


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), relative(path))


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions and for type checking alone."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)} imports relatively"
            assert node.module is not None
            yield node.module
            # `from config import settings` names a module too.
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if (ROOT / node.module.replace(".", "/") / f"{alias.name}.py").exists()
            )


def storey(module: str) -> int | None:
    """How high a module stands; None for what is not ours."""
    if module in GROUND:
        return 0
    room = module.partition(".")[0]
    return STOREYS.index(room) if room in STOREYS else None


def id_of(path: Path) -> str:
    return relative(path)


@pytest.mark.parametrize("path", production(), ids=id_of)
def test_imports_run_one_way(path: Path) -> None:
    own = storey(module_name(path))
    assert own is not None
    above = [name for name in imported(path) if (storey(name) or 0) > own]
    assert above == []


@pytest.mark.parametrize("path", production(), ids=id_of)
def test_nobody_imports_the_tests(path: Path) -> None:
    assert [name for name in imported(path) if name.partition(".")[0] == "tests"] == []


def test_aiosmtpd_is_known_in_one_place() -> None:
    knowing = {
        relative(path)
        for path in production()
        if any(name.partition(".")[0] == "aiosmtpd" for name in imported(path))
    }
    assert knowing <= {"smtpd/session.py"}


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None:
        return False  # it tidies up and lets go
    if handler.type is None:
        return True
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {node.id for node in named if isinstance(node, ast.Name)}
    return bool(names & {"Exception", "BaseException"})


def test_everything_is_caught_in_three_places_at_most() -> None:
    caught = [
        relative(path)
        for path in production()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert sorted(caught) == sorted(set(caught) & MAY_CATCH_EVERYTHING)


def reads_environment(node: ast.AST) -> bool:
    names = {"environ", "environb", "getenv"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in names for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in names
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def test_only_the_configuration_reads_the_environment() -> None:
    readers = {
        relative(path) for path in production() if any(map(reads_environment, ast.walk(tree(path))))
    }
    assert {name for name in readers if not name.startswith(MAY_READ_THE_ENVIRONMENT)} == set()


@pytest.mark.parametrize("path", [*production(), *modules("tests")], ids=id_of)
def test_no_file_has_two_jobs(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


def test_the_key_folder_holds_no_python() -> None:
    # A dkim/__init__.py would hide the library of that name.
    assert list((ROOT / "dkim").rglob("*.py")) == []


def test_the_top_level_holds_the_rooms_and_the_usual_files() -> None:
    here = {path.name for path in ROOT.iterdir() if ours(path)}
    assert here - ROOMS - ROOT_FILES == set()


def folders() -> list[Path]:
    """The rooms and the folders right below them."""
    rooms = [ROOT / name for name in sorted(ROOMS) if (ROOT / name).is_dir()]
    below = [path for room in rooms for path in sorted(room.iterdir()) if path.is_dir()]
    return [path for path in rooms + below if ours(path)]


@pytest.mark.parametrize("path", folders(), ids=id_of)
def test_each_folder_says_what_lives_in_it(path: Path) -> None:
    assert (path / "README.md").is_file()
