"""One-shot jobs that prepare the Compose stack: secrets, accounts, templates, saved objects."""
