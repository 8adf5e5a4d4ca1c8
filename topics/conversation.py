"""The headers of a conversation, named as Spring's and NestJS' clients name them."""

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
REPLY_PARTITION = "kafka_replyPartition"
IDEMPOTENCY_KEY = "idempotency-key"
ORIGIN = "origin"
PURCHASE = "purchase"
EVENT_ID = "event-id"
TRACE = ("traceparent", "tracestate")
