"""The contracts: what travels over HTTP and Kafka, and nothing else."""
