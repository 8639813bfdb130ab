"""The application on Ray Serve, with `max_ongoing_requests` = SLOTS; it scales if REPLICAS is above one."""

from __future__ import annotations

import os
from typing import Any

from fastapi_app import build_app
from ray import serve

REPLICAS = int(os.environ.get("REPLICAS", "1"))
SLOTS = int(os.environ.get("SLOTS", "2"))

# Ray's defaults but for the target: its documentation recommends one below `max_ongoing_requests`.
scaling: dict[str, Any] = (
    {"num_replicas": 1}
    if REPLICAS == 1
    else {
        "autoscaling_config": {
            "min_replicas": 1,
            "max_replicas": REPLICAS,
            "target_ongoing_requests": max(1.0, 0.7 * SLOTS),
            "upscale_delay_s": float(os.environ.get("UPSCALE_DELAY", "30")),
        }
    }
)


@serve.deployment(max_ongoing_requests=SLOTS, ray_actor_options={"num_cpus": 0.1}, **scaling)
@serve.ingress(build_app)
class FlightsDeployment:
    """The flights model."""


app = FlightsDeployment.bind()
