"""The application for servers that import one."""

from __future__ import annotations

from fastapi_app import build_app

app = build_app()
