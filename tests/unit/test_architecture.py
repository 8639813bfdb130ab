"""The layers of the architecture: each package, or each package inside it, has one, without exceptions."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / ".importlinter"


def contract() -> ConfigParser:
    parser = ConfigParser()
    parser.read(CONTRACT, encoding="utf-8")
    return parser


def layers() -> list[str]:
    lines = contract()["importlinter:contract:layers"]["layers"].split("\n")[1:]
    return [name for line in lines for name in line.split(" | ")]


def modules(package: str) -> set[str]:
    """What is directly in a package."""
    return {
        f"{package}.{entry.stem}"
        for entry in (ROOT / package.replace(".", "/")).iterdir()
        if (entry.suffix == ".py" and entry.stem != "__init__") or (entry / "__init__.py").is_file()
    }


def test_every_package_has_a_layer() -> None:
    # In place of a package, the packages in it may have layers: then all of them, and no more.
    divided = {parent for name in layers() if (parent := name.rpartition(".")[0]) != "tidegate"}
    expected = modules("tidegate").union(*map(modules, divided)) - divided
    assert sorted(layers()) == sorted(expected)


def test_the_contract_makes_no_exception() -> None:
    sections = contract().items()
    assert [name for name, section in sections if "ignore_imports" in section] == []
