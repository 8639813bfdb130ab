"""Lucene queries: parser, tree, time ranges."""
