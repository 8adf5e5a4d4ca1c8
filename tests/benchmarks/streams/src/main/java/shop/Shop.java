package shop;

import static org.apache.kafka.streams.StreamsConfig.producerPrefix;

import java.io.IOException;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.LogAndContinueExceptionHandler;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.Stores;
import shop.AggregateProcessor.Outgoing;

/**
 * The shop as one Kafka Streams instance, with its gateway in the same JVM.
 *
 * <p>Arguments: bootstrap servers, HTTP port, state directory, processing guarantee.
 */
final class Shop {
  /** On two busy cores larger batches save more time than they wait. */
  static final String LINGER_MS = "3";

  private Shop() {}

  public static void main(String[] args) throws IOException {
    String bootstrap = args[0];
    boolean exactlyOnce = args[3].equals(StreamsConfig.EXACTLY_ONCE_V2);
    var streams = new KafkaStreams(topology(), settings(bootstrap, args[2], args[3]));
    var gateway = new Gateway(bootstrap, Integer.parseInt(args[1]), exactlyOnce);
    streams.setStateListener(
        (state, before) -> {
          System.out.println("state=" + state);
          if (state == KafkaStreams.State.ERROR) {
            Runtime.getRuntime().halt(1);
          }
        });
    var leave = CloseOptions.groupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(leave)));
    gateway.start();
    streams.start();
  }

  private static Topology topology() {
    var topology = new Topology();
    aggregate(
        topology, "stock", Topics.STOCK_REQUESTS, Messages.StockRequest.class, StockProcessor::new);
    store(topology, "stock", StockProcessor.LEVELS, Rows.StockLevel.class);
    store(topology, "stock", StockProcessor.ENTRIES, Rows.StockEntry.class);
    aggregate(
        topology, "order", Topics.ORDER_REQUESTS, Messages.OrderRequest.class, OrderProcessor::new);
    store(topology, "order", OrderProcessor.ORDERS, Rows.Order.class);
    aggregate(
        topology, "cart", Topics.CART_REQUESTS, Messages.CartRequest.class, CartProcessor::new);
    store(topology, "cart", CartProcessor.CARTS, Rows.Cart.class);
    processor(
        topology, "notification", Topics.ORDER_EVENTS, Messages.Event.class,
        NotificationProcessor::new);
    store(topology, "notification", NotificationProcessor.SENT, Rows.Notification.class);
    return topology;
  }

  private static <R> void aggregate(
      Topology topology,
      String name,
      String topic,
      Class<R> type,
      ProcessorSupplier<String, R, String, Outgoing> supplier) {
    processor(topology, name, topic, type, supplier);
    Serializer<Outgoing> values =
        (to, outgoing) -> Json.bytes(Json.MESSAGES, outgoing.message());
    topology.addSink(
        name + "-out",
        (key, outgoing, context) -> outgoing.topic(),
        new StringSerializer(),
        values,
        (to, key, outgoing, n) -> Optional.ofNullable(outgoing.partition()).map(Set::of),
        name);
  }

  private static <R, K, V> void processor(
      Topology topology,
      String name,
      String topic,
      Class<R> type,
      ProcessorSupplier<String, R, K, V> supplier) {
    topology.addSource(topic, new StringDeserializer(), Json.messages(type), topic);
    topology.addProcessor(name, supplier, topic);
  }

  /** Without a record cache, which stalls the processing at each commit. */
  private static <V> void store(Topology topology, String of, String name, Class<V> type) {
    var rows = Stores.persistentKeyValueStore(name);
    topology.addStateStore(
        Stores.keyValueStoreBuilder(rows, Serdes.String(), Json.rows(type))
            .withCachingDisabled(),
        of);
  }

  private static Properties settings(String bootstrap, String stateDir, String guarantee) {
    var settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "ks");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
    // Its default is a commit interval of 30 s, and of 100 ms with exactly_once_v2.
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
    settings.put(
        StreamsConfig.DESERIALIZATION_EXCEPTION_HANDLER_CLASS_CONFIG,
        LogAndContinueExceptionHandler.class);
    settings.put(StreamsConfig.ERRORS_DEAD_LETTER_QUEUE_TOPIC_NAME_CONFIG, Topics.DEAD_LETTERS);
    settings.put(producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
    settings.put(producerPrefix(ProducerConfig.LINGER_MS_CONFIG), LINGER_MS);
    settings.put(producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), "131072");
    return settings;
  }
}
