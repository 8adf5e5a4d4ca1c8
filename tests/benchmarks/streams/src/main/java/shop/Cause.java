package shop;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.time.Instant;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * What comes with a request: its time, its ids, and where its reply goes.
 *
 * @param origin the location of the conversation's first record
 * @param idempotencyKey of the client, or null
 * @param purchase the purchase that an order belongs to, or null
 */
record Cause(
    Headers headers, String origin, String idempotencyKey, String purchase, String timestamp) {
  static final String CORRELATION_ID = "kafka_correlationId";
  static final String REPLY_TOPIC = "kafka_replyTopic";
  static final String REPLY_PARTITION = "kafka_replyPartition";
  static final String IDEMPOTENCY_KEY = "idempotency-key";
  private static final String ORIGIN = "origin";
  private static final String PURCHASE = "purchase";

  static Cause of(Record<String, ?> record, RecordMetadata location) {
    Headers headers = record.headers();
    String origin = text(headers, ORIGIN);
    if (origin == null) {
      origin = location.topic() + "-" + location.partition() + "-" + location.offset();
    }
    String timestamp = Instant.ofEpochMilli(record.timestamp()).toString();
    return new Cause(
        headers, origin, text(headers, IDEMPOTENCY_KEY), text(headers, PURCHASE), timestamp);
  }

  String requestId() {
    if (purchase != null) {
      return "purchase:" + purchase;
    }
    return idempotencyKey != null ? "key:" + idempotencyKey : origin;
  }

  String replyTopic() {
    return text(headers, REPLY_TOPIC);
  }

  Integer replyPartition() {
    Header header = headers.lastHeader(REPLY_PARTITION);
    return header == null ? null : ByteBuffer.wrap(header.value()).getInt();
  }

  Headers replyHeaders() {
    return copy(CORRELATION_ID);
  }

  /** The headers of a command that this request causes. */
  Headers commandHeaders(String ofPurchase) {
    Headers headers = copy(CORRELATION_ID, REPLY_TOPIC, REPLY_PARTITION, IDEMPOTENCY_KEY);
    headers.add(ORIGIN, origin.getBytes(UTF_8));
    if (ofPurchase != null) {
      headers.add(PURCHASE, ofPurchase.getBytes(UTF_8));
    }
    return headers;
  }

  private Headers copy(String... names) {
    var copy = new RecordHeaders();
    for (String name : names) {
      Header header = headers.lastHeader(name);
      if (header != null) {
        copy.add(header);
      }
    }
    return copy;
  }

  private static String text(Headers headers, String name) {
    Header header = headers.lastHeader(name);
    return header == null ? null : new String(header.value(), UTF_8);
  }
}
