"""Tests of the rules and alerts, as `promtool test rules` reads them."""
