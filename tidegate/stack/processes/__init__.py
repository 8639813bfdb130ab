"""One child process: started, watched, restarted and stopped."""
