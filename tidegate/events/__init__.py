"""The event line, its size limit, and the writer of event files."""
