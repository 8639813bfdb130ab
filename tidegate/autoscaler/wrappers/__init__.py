"""What surrounds a policy: combinations, schedules, vertical scaling, scale to zero."""
