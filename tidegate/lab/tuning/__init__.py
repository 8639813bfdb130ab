"""`tidegate tune`: which policy and settings suit the traffic of one's own service."""
