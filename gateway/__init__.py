"""The HTTP gateway: HTTP requests in, Kafka request topics and replies, HTTP out."""
