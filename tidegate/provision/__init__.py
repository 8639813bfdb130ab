"""What must be in place before the Compose stack serves: secrets, accounts, templates; put there once."""
