"""The generated pages of the documentation: settings.md and metrics.md in docs/reference/."""
