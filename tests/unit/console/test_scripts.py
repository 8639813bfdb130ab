"""The scripts of the pages have no build step, so a test checks their types."""

from __future__ import annotations

import shutil
import subprocess

from support.components import unavailable
from support.npm import npm_package
from tidegate.console.site import FOLDER

OPTIONS = (
    *("--allowJs", "--checkJs", "--noEmit", "--strict"),
    *("--target", "es2023", "--lib", "es2023,dom,dom.iterable"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
)


def test_their_types_are_right() -> None:
    node = shutil.which("node") or unavailable("there is no node: install Node.js")
    scripts = sorted((FOLDER / "static").glob("*.js"))
    assert scripts
    compiler = npm_package("typescript") / "bin" / "tsc"
    done = subprocess.run(
        [node, compiler, *OPTIONS, *scripts], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
