"""What several test files import: doubles, real processes, and readers of the committed files."""
