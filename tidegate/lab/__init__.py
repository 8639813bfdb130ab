"""What needs no running stack: simulates policies, tunes them, and replays recorded decisions."""
