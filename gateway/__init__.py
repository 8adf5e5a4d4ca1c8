"""The HTTP door: requests in, replies out, Kafka in between."""
