"""Other people's autoscalers, as their authors define them, to be measured against.

One thing is better than theirs: a value that is not a number holds the replicas, as a careful person
would have it by a filter in the query. Unfiltered, it sends the HPA to its minimum and KEDA to none.
"""
