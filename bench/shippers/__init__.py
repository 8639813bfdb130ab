"""The collector beside other shippers of files, into one Elasticsearch, under the same faults."""
