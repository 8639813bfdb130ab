"""`python -m tools.generate [--check]`, run by `make render` and `make render-check`."""

from __future__ import annotations

import argparse

from tidegate.settings import load

try:
    from tools.generate.generated_files import generate
except ModuleNotFoundError as error:
    raise SystemExit(f"`make render` needs {error.name}: pip install -e '.[dev]'") from error

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tools.generate", description="Generate files.")
    parser.add_argument(
        "--check", action="store_true", help="Write nothing; exit 1 if a file is not current."
    )
    raise SystemExit(generate(load(), check=parser.parse_args().check))
