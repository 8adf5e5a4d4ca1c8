"""Changes the number of partitions of a shop that has records."""
