"""What benches share that need a running stack."""
