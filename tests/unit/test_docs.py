"""The documentation: links and anchors resolve, every page can be reached, waiting commands have an end."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tidegate.settings import setting_names
from tools.generate.chart.values_file import read_values

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "bench" / "RESULTS.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
PATH = re.compile(
    r"(?<![\w/.-])(?!tidegate/(?:tidegate|model)\b)"  # names of images
    r"(?:bench|loadgen|observability|scripts|service|tests|tidegate|tools)/[\w./-]*\w"
)
# Fields of events, files and attributes that look like settings.
NO_SETTINGS = {
    *("service.node.name", "service.version", "model.joblib", "model.onnx"),
    "telemetry.registry",
}
CHART_VALUES = {leaf.name for value in read_values() for leaf in value.leaves()} | {
    value.name for section in read_values() for value in section.children or ()
}
CODE_BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub makes of a page's headings."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return frozenset(found)


def target(page: Path, link: str) -> tuple[Path, str]:
    """The file and the anchor that a link leads to."""
    path, _, anchor = link.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_anchor_of_a_page_resolves(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        file, anchor = target(page, link)
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        ahead += [target(page, link)[0] for link in LINK.findall(prose(page))]
    assert [page for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_of_this_repository_exists(page: Path) -> None:
    # The changelog names files of earlier versions.
    text = "" if page.name == "CHANGELOG.md" else page.read_text(encoding="utf-8")
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    text = "" if page.name == "CHANGELOG.md" else page.read_text(encoding="utf-8")
    named = {
        variable.removeprefix("TIDEGATE_").lower().replace("__", ".")
        for variable in re.findall(r"\bTIDEGATE_[A-Z_]+__[A-Z_]+\b", text)
    }
    sections = {name.partition(".")[0] for name in setting_names()}
    named |= {
        name
        for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text)
        if name.partition(".")[0] in sections and name not in NO_SETTINGS | CHART_VALUES
    }
    assert named - setting_names().keys() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_waits_has_an_end(page: Path) -> None:
    # Compose waits forever for a container that restarts forever. A command may be broken in two lines.
    text = "" if page.name == "CHANGELOG.md" else page.read_text(encoding="utf-8")
    commands = re.findall(r"docker compose\b[^`#$]*?\bup\b[^`#]*", text)
    endless = [one for one in commands if "--wait" in one and "--wait-timeout" not in one]
    assert endless == []


def test_the_lock_names_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock
    assert "://" not in lock


def test_every_script_is_valid_shell() -> None:
    scripts = [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]
    for script in scripts:
        done = subprocess.run(
            ["bash", "-n", str(script)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
