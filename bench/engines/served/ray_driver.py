"""Starts a Ray of one node and Ray Serve on loopback, and runs the application until it is ended.

Usage: `python ray_driver.py PORT FOLDER`, in a network namespace: Ray listens on all addresses.
"""

from __future__ import annotations

import signal
import sys

import ray
from ray import serve
from ray_app import app

ray.init(
    num_cpus=4,
    include_dashboard=False,
    _temp_dir=sys.argv[2],
    _node_ip_address="127.0.0.1",
    configure_logging=False,
)
serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(app, name="flights", route_prefix="/")
signal.pause()
