"""The planned requests of a run: scenarios, rates, traces, and the plan."""
