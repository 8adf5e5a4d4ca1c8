package shop;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import shop.Messages.*;

/** HTTP to Kafka and back; no thread waits for a reply. */
final class Gateway {
  private static final Duration REPLY_TIMEOUT = Duration.ofSeconds(10);
  private static final int MAX_IN_FLIGHT = 10_000;
  private static final int MAX_BODY = 1 << 20;
  private static final int BACKLOG = 1024;
  private static final int PARTITION = 0;
  private static final HexFormat HEX = HexFormat.of();

  private static final Map<String, Class<? extends Request>> ROUTES =
      Map.of(
          "/addToCart", Messages.AddToCart.class,
          "/purchase", Messages.Purchase.class,
          "/createOrder", Messages.CreateOrder.class,
          "/orderPayed", Messages.PayOrder.class,
          "/stocks", Messages.ListStocks.class,
          "/receiveStock", Messages.ReceiveStock.class);

  private final Map<String, CompletableFuture<byte[]>> inFlight = new ConcurrentHashMap<>();
  private final ExecutorService pool = Executors.newFixedThreadPool(2);
  private final KafkaProducer<String, byte[]> producer;
  private final KafkaConsumer<byte[], byte[]> consumer;
  private final HttpServer server;

  /** An error response: RFC 9457. */
  private record Problem(String type, String title, int status, String detail, String code) {}

  Gateway(String bootstrap, int port, boolean exactlyOnce) throws IOException {
    producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", Shop.LINGER_MS),
            new StringSerializer(),
            new ByteArraySerializer());
    String isolation = exactlyOnce ? "read_committed" : "read_uncommitted";
    consumer =
        new KafkaConsumer<>(
            Map.of("bootstrap.servers", bootstrap, "isolation.level", isolation),
            new ByteArrayDeserializer(),
            new ByteArrayDeserializer());
    server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), BACKLOG);
    server.setExecutor(pool);
    server.createContext("/", this::handle);
  }

  void start() {
    var replies = new TopicPartition(Topics.GATEWAY_REPLIES, PARTITION);
    consumer.assign(List.of(replies));
    consumer.seekToEnd(List.of(replies));
    consumer.position(replies);
    var reader = new Thread(this::read, "replies");
    reader.setDaemon(true);
    reader.start();
    server.start();
  }

  private void read() {
    while (true) {
      for (var record : consumer.poll(Duration.ofSeconds(1))) {
        var id = record.headers().lastHeader(Cause.CORRELATION_ID);
        var reply = id == null ? null : inFlight.get(new String(id.value(), UTF_8));
        if (reply != null) {
          reply.complete(record.value());
        }
      }
    }
  }

  private void handle(HttpExchange exchange) throws IOException {
    try {
      String path = exchange.getRequestURI().getPath();
      Class<? extends Request> type = ROUTES.get(path);
      if (type == null) {
        refuse(exchange, 404, "not-found", "there is no " + path);
      } else if (!exchange.getRequestMethod().equals("POST")) {
        exchange.getResponseHeaders().set("Allow", "POST");
        refuse(exchange, 405, "method-not-allowed", "it takes POST");
      } else if (inFlight.size() >= MAX_IN_FLIGHT) {
        refuse(exchange, 503, "overloaded", "too many requests are in flight");
      } else {
        send(exchange, type);
      }
    } catch (JsonProcessingException error) {
      refuse(exchange, 400, "bad-request", error.getOriginalMessage());
    }
  }

  private void send(HttpExchange exchange, Class<? extends Request> type) throws IOException {
    byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY + 1);
    if (body.length > MAX_BODY) {
      refuse(exchange, 413, "too-large", "a body has at most 1 MiB");
      return;
    }
    Request request = Json.BODIES.readValue(body, type);
    var random = ThreadLocalRandom.current();
    String id = HEX.toHexDigits(random.nextLong()) + HEX.toHexDigits(random.nextLong());
    var record =
        new ProducerRecord<>(
            request.topic(), Long.toString(request.key()), Json.bytes(Json.MESSAGES, request));
    record.headers().add(Cause.CORRELATION_ID, id.getBytes(UTF_8));
    record.headers().add(Cause.REPLY_TOPIC, Topics.GATEWAY_REPLIES.getBytes(UTF_8));
    record.headers().add(Cause.REPLY_PARTITION, ByteBuffer.allocate(4).putInt(PARTITION).array());
    String idempotencyKey = exchange.getRequestHeaders().getFirst(Cause.IDEMPOTENCY_KEY);
    if (idempotencyKey != null) {
      record.headers().add(Cause.IDEMPOTENCY_KEY, idempotencyKey.getBytes(UTF_8));
    }
    var reply = new CompletableFuture<byte[]>();
    inFlight.put(id, reply);
    reply
        .orTimeout(REPLY_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
        .whenCompleteAsync(
            (value, error) -> {
              inFlight.remove(id);
              respond(exchange, value);
            },
            pool);
    producer.send(record);
  }

  private static void respond(HttpExchange exchange, byte[] value) {
    try {
      if (value == null) {
        refuse(exchange, 504, "timeout", "no reply in time; repeat it with the same key");
        return;
      }
      Reply reply = Json.MESSAGES.readValue(value, Reply.class);
      if (reply instanceof Refused refused) {
        refuse(exchange, status(refused.code()), refused.code(), refused.text());
      } else {
        answer(exchange, 200, "application/json", Json.bytes(Json.BODIES, reply));
      }
    } catch (IOException error) {
      exchange.close();
    }
  }

  private static int status(String code) {
    return switch (code) {
      case "unknown-order" -> 404;
      case "key-reused" -> 422;
      default -> 409;
    };
  }

  private static void refuse(HttpExchange exchange, int status, String code, String detail)
      throws IOException {
    var problem = new Problem("about:blank", code, status, detail, code);
    byte[] body = Json.bytes(Json.MESSAGES, problem);
    answer(exchange, status, "application/problem+json", body);
  }

  private static void answer(HttpExchange exchange, int status, String type, byte[] body)
      throws IOException {
    exchange.getResponseHeaders().set("Content-Type", type);
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }
}
