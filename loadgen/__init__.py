"""The open-loop load generator: plans, sends, measures, reports."""
