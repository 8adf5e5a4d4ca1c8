package shop;

import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import shop.Messages.*;

/** Processes the requests of an aggregate; sends commands, events and replies. */
abstract class AggregateProcessor<R extends Request>
    extends ContextualProcessor<String, R, String, AggregateProcessor.Outgoing> {
  private Record<String, R> record;
  private Cause cause;

  /** A message and its topic; without a partition its key decides. */
  record Outgoing(String topic, Integer partition, Object message) {}

  abstract void open();

  abstract void handle(R request, Cause cause) throws Refusal;

  @Override
  public final void init(ProcessorContext<String, Outgoing> context) {
    super.init(context);
    open();
  }

  @Override
  public final void process(Record<String, R> record) {
    this.record = record;
    cause = Cause.of(record, context().recordMetadata().orElseThrow());
    try {
      handle(record.value(), cause);
    } catch (Refusal refusal) {
      reply(new Refused(refusal.code, refusal.getMessage()));
    }
  }

  <V> KeyValueStore<String, V> store(String name) {
    return context().getStateStore(name);
  }

  void command(Request request) {
    command(request, cause.purchase());
  }

  void command(Request request, String purchase) {
    var outgoing = new Outgoing(request.topic(), null, request);
    send(Long.toString(request.key()), outgoing, cause.commandHeaders(purchase));
  }

  void event(OrderStatusChanged event) {
    var headers = new RecordHeaders();
    headers.add("event-id", event.eventID().getBytes());
    var outgoing = new Outgoing(Topics.ORDER_EVENTS, null, event);
    send(Long.toString(Messages.shard(event.orderID())), outgoing, headers);
  }

  void reply(Reply reply) {
    String topic = cause.replyTopic();
    if (topic != null && topic.endsWith(".replies")) {
      var outgoing = new Outgoing(topic, cause.replyPartition(), reply);
      send(record.key(), outgoing, cause.replyHeaders());
    }
  }

  private void send(String key, Outgoing outgoing, Headers headers) {
    context().forward(new Record<>(key, outgoing, record.timestamp(), headers));
  }
}
