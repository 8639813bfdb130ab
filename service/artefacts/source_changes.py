"""Whether what a served model was made of is another model by now."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tidegate.service.artefacts.import_cache import import_digest, rows_file, sources
from tidegate.service.model.artefact import (
    MANIFEST,
    ArtefactError,
    Manifest,
    digest_file,
    read_manifest,
)
from tidegate.settings import is_import_string


@dataclass(slots=True)
class SourceChanges:
    """Compares `source`, as `model.path` names it, with the manifest of the artefact that was made of it.

    Files are read again only if their time, size or inode differs from the last time.
    """

    source: Path
    manifest: Manifest
    _files: list[Path] = field(default_factory=list, init=False)
    _seen: list[tuple[int, ...]] = field(default_factory=list, init=False)
    _changed: bool = field(default=False, init=False)

    def found(self) -> bool:
        """Whether it is another model; one that is gone, or not complete yet, is none."""
        try:
            if not self._files or [_stat(file) for file in self._files] != self._seen:
                files = self._find()
                seen = [_stat(file) for file in files]
                self._changed = self._differs()
                self._files, self._seen = files, seen
        except (OSError, ArtefactError):
            return False
        return self._changed

    def _find(self) -> list[Path]:
        if is_import_string(self.source):
            return [Path(name) for name in self._code]
        if self.source.is_file():
            schemas = [self.source.with_suffix(".toml"), self.source.with_name("schema.toml")]
            return [*sources(self.source), rows_file(self.source), *schemas]
        return [self.source / MANIFEST]

    def _differs(self) -> bool:
        if is_import_string(self.source):
            return any(digest_file(Path(name)) != digest for name, digest in self._code.items())
        if self.source.is_file():
            return import_digest(self.source) != self.manifest.inputs
        return read_manifest(self.source).digest != self.manifest.digest

    @property
    def _code(self) -> dict[str, str]:
        found: dict[str, str] = self.manifest.trained.get("sources", {})
        return found


def _stat(file: Path) -> tuple[int, ...]:
    """What changes with a file; empty if there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return ()
    # Not the time of modification, which a program can set.
    return found.st_ctime_ns, found.st_size, found.st_ino
