"""The recording rules and alerts of Prometheus, generated for the settings in force."""
