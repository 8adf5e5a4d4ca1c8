package shop;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.streams.state.KeyValueStore;
import shop.Messages.*;
import shop.Rows.*;

/** Orders: new → awaiting payment → paid, or failed when a line can't be reserved. */
final class OrderProcessor extends AggregateProcessor<OrderRequest> {
  static final String ORDERS = "orders";

  private KeyValueStore<String, Order> orders;

  @Override
  void open() {
    orders = store(ORDERS);
  }

  /** The id of a request's order: 53 bits; the lowest 12 are the user's shard. */
  static long orderId(long user, String requestId) {
    try {
      byte[] input = (user + "/" + requestId).getBytes();
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(input);
      return (ByteBuffer.wrap(digest).getLong() >>> 23) * Messages.SHARDS + Messages.shard(user);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  @Override
  void handle(OrderRequest request, Cause cause) throws Refusal {
    if (request instanceof CreateOrder asked) {
      create(asked, cause);
      return;
    }
    long id = ((OfOrder) request).orderID();
    Order order = orders.get(Long.toString(id));
    if (order == null) {
      throw new Refusal("unknown-order", "there is no order " + id);
    }
    if (request instanceof StockReserved answer) {
      recordAnswer(order, answer, cause);
    } else {
      pay(order, cause);
    }
  }

  private void create(CreateOrder asked, Cause cause) throws Refusal {
    var lines = new LinkedHashMap<Long, Integer>();
    asked.items().forEach(item -> lines.put(item.sku(), item.count()));
    long id = orderId(asked.user(), cause.requestId());
    Order order = orders.get(Long.toString(id));
    if (order == null) {
      var created = new StatusChange(Status.NEW, cause.timestamp(), cause.origin());
      var answers = new LinkedHashMap<Long, Boolean>();
      order =
          new Order(
              id, asked.user(), cause.requestId(), lines, List.of(created), answers, null,
              Map.of());
      put(order);
    } else if (!order.lines().equals(lines)) {
      throw new Refusal("key-reused", "this idempotency key was used for another order");
    }
    if (order.status() != Status.NEW) {
      replyPlaced(order, cause);
      return;
    }
    publish(order, cause);
    for (Item item : order.items()) {
      command(new Reserve(item.sku(), id, item.count()));
    }
  }

  /** The last answer of stock settles the order. */
  private void recordAnswer(Order order, StockReserved answer, Cause cause) {
    boolean known = order.answers().containsKey(answer.sku());
    if (known || !order.lines().containsKey(answer.sku()) || order.status() != Status.NEW) {
      return;
    }
    order.answers().put(answer.sku(), answer.reserved());
    if (order.answers().size() < order.lines().size()) {
      put(order);
      return;
    }
    boolean all = !order.answers().containsValue(false);
    Status end = all ? Status.AWAITING_PAYMENT : Status.FAILED;
    order = changed(order, end, cause, answer.sku(), order.processed());
    if (!all) {
      for (var line : order.answers().entrySet()) {
        if (line.getValue()) {
          command(new Release(line.getKey(), order.orderId()));
        }
      }
    }
    publish(order, cause);
    replyPlaced(order, cause);
  }

  private void pay(Order order, Cause cause) throws Refusal {
    if (order.status() == Status.AWAITING_PAYMENT) {
      Map<String, String> processed =
          cause.idempotencyKey() == null
              ? order.processed()
              : Map.of(cause.requestId(), "orderPayed");
      order = changed(order, Status.PAID, cause, order.lastAnswer(), processed);
      for (long sku : order.lines().keySet()) {
        command(new Sell(sku, order.orderId()));
      }
      publish(order, cause);
    } else if (order.status() != Status.PAID) {
      throw new Refusal(
          "wrong-status", "order " + order.orderId() + " is " + order.status().text);
    }
    reply(new Done());
  }

  /** Replies to createOrder; to a purchase the cart replies. */
  private void replyPlaced(Order order, Cause cause) {
    if (cause.purchase() == null) {
      reply(new OrderPlaced(order.orderId()));
      return;
    }
    command(
        new OrderSettled(order.user(), cause.purchase(), order.orderId(), order.status()));
  }

  private void publish(Order order, Cause cause) {
    event(
        new OrderStatusChanged(
            order.orderId(), order.user(), order.status(), order.items(), cause.timestamp()));
  }

  private Order changed(
      Order order, Status to, Cause cause, Long lastAnswer, Map<String, String> processed) {
    var history = new ArrayList<>(order.history());
    history.add(new StatusChange(to, cause.timestamp(), cause.origin()));
    var changed =
        new Order(
            order.orderId(), order.user(), order.requestId(), order.lines(), history,
            order.answers(), lastAnswer, processed);
    put(changed);
    return changed;
  }

  private void put(Order order) {
    orders.put(Long.toString(order.orderId()), order);
  }
}
