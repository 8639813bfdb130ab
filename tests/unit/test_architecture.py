"""The layers of the architecture: each package has one, without exceptions."""

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
    return contract()["importlinter:contract:layers"]["layers"].split("\n")[1:]


def test_every_package_has_a_layer() -> None:
    roots = contract()["importlinter"]["root_packages"].split()
    folders = [ROOT / root for root in roots if root != "tidegate"]
    entries = [*folders, *(ROOT / "tidegate").iterdir()]
    modules = {
        ".".join(entry.relative_to(ROOT).with_suffix("").parts)
        for entry in entries
        if entry.suffix == ".py" or (entry / "__init__.py").is_file()
    } - {"tidegate.__init__"}
    assert {name for line in layers() for name in line.split(" | ")} == modules


def test_the_contract_makes_no_exception() -> None:
    sections = contract().items()
    assert [name for name, section in sections if "ignore_imports" in section] == []
