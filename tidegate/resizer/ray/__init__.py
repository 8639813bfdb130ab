"""The resizer for a deployment of Ray Serve, through the HTTP interface of Ray's dashboard.

From outside the autoscaler has all signals with their age, and its decisions are events that replay. Ray
keeps neither the state nor the reasons of a policy inside it, and makes a new instance at each deployment.
"""
