"""The generated pages of the reference: settings, metrics, alerts and the command line."""
