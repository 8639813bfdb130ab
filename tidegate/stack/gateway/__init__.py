"""The gateway: HAProxy, its configuration, its runtime API, its access log."""
