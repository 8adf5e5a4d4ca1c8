"""The HTTP gateway: sends HTTP calls as Kafka requests and returns the replies."""
