"""The recording rules and alerts of Prometheus, generated for the settings in force.

The committed copies are no templates: an objective also changes the bucket that is compared and the
thresholds of the burn rates, and promtool could not check placeholders.
"""
