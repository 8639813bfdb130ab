"""Where events can be searched: embedded (tantivy) or Elasticsearch, one contract."""
