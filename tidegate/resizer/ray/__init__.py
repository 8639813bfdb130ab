"""The resizer for a deployment of Ray Serve, through the HTTP interface of Ray's dashboard."""
