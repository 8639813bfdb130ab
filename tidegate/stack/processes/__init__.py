"""One child process: its environment, its start and stop, and its supervision."""
