"""An ASGI application, or the model service, as a deployment of Ray Serve.

Ray is not among the dependencies of this project: `ray[serve]` is imported when a deployment is made.
"""

from tidegate.ray.deployment import application, deployment

__all__ = ["application", "deployment"]
