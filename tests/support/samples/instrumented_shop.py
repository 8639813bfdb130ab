"""`shop_app` with Tidegate's telemetry and an address of readiness; run from the folder that has both."""

from __future__ import annotations

from shop_app import app  # type: ignore[import-not-found]

from tidegate.telemetry import instrument


def ready() -> dict[str, str]:
    return {"version": app.version}


instrument(app)
app.add_api_route("/ready", ready)
