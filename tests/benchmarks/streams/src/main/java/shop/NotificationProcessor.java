package shop;

import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import shop.Messages.*;
import shop.Rows.Notification;

/** Notifications: a line in the log for each status of an order, once. */
final class NotificationProcessor extends ContextualProcessor<String, Event, Void, Void> {
  static final String SENT = "sent";
  private static final Logger LOG = LoggerFactory.getLogger(NotificationProcessor.class);

  private KeyValueStore<String, Notification> sent;

  @Override
  public void init(ProcessorContext<Void, Void> context) {
    super.init(context);
    sent = context.getStateStore(SENT);
  }

  @Override
  public void process(Record<String, Event> record) {
    var event = (OrderStatusChanged) record.value();
    if (sent.get(event.eventID()) == null) {
      int lines = event.items().size();
      LOG.info("event=\"{}\" user={} lines={}", event.eventID(), event.user(), lines);
      sent.put(event.eventID(), new Notification(event.at(), "sent"));
    }
  }
}
