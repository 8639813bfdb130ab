"""The web console: the pages that show a stack in a browser."""
