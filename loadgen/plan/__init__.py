"""What to send and when: scenarios, rates, traces, and the plan made of them."""
