"""The HTTP interface: routes, bodies, errors, and the OpenAPI document."""
