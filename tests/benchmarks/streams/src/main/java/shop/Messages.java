package shop;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonSubTypes.Type;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.annotation.JsonValue;
import java.util.List;
import java.util.TreeMap;

/** Requests, replies and events, as the product has them on the wire; constructors validate. */
final class Messages {
  static final int MAX_COUNT = 65_535;
  static final int MAX_LINES = 1000;
  static final int SHARDS = 4096;

  private Messages() {}

  /** A request; its type decides its topic, its owner its partition. */
  interface Request {
    String topic();

    long key();
  }

  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes({
    @Type(value = AddToCart.class, name = "addToCart"),
    @Type(value = Purchase.class, name = "purchase"),
    @Type(value = StockChecked.class, name = "stockChecked"),
    @Type(value = OrderSettled.class, name = "orderSettled")
  })
  sealed interface CartRequest extends Request {
    long user();

    @Override
    default String topic() {
      return Topics.CART_REQUESTS;
    }

    @Override
    default long key() {
      return user();
    }
  }

  record AddToCart(long user, long sku, int count) implements CartRequest {
    AddToCart {
      checkLine(sku, count);
    }
  }

  record Purchase(long user) implements CartRequest {}

  /** The answer of stock to an addToCart, which it repeats: no cart stores a pending one. */
  record StockChecked(long user, long sku, int count, int available) implements CartRequest {}

  record OrderSettled(long user, String purchase, long orderID, Status status)
      implements CartRequest {}

  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes({
    @Type(value = CreateOrder.class, name = "createOrder"),
    @Type(value = PayOrder.class, name = "orderPayed"),
    @Type(value = StockReserved.class, name = "stockReserved")
  })
  sealed interface OrderRequest extends Request {
    /** A user or an order: both have the same shard. */
    long owner();

    @Override
    default String topic() {
      return Topics.ORDER_REQUESTS;
    }

    @Override
    default long key() {
      return shard(owner());
    }
  }

  record CreateOrder(long user, List<Item> items) implements OrderRequest {
    CreateOrder {
      items = mergeLines(items);
    }

    @Override
    public long owner() {
      return user;
    }
  }

  /** A request about an order that exists. */
  sealed interface OfOrder extends OrderRequest {
    long orderID();

    @Override
    default long owner() {
      return orderID();
    }
  }

  record PayOrder(long orderID) implements OfOrder {}

  record StockReserved(long orderID, long sku, boolean reserved) implements OfOrder {}

  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes({
    @Type(value = ListStocks.class, name = "stocks"),
    @Type(value = ReceiveStock.class, name = "receiveStock"),
    @Type(value = CheckStock.class, name = "checkStock"),
    @Type(value = Reserve.class, name = "reserve"),
    @Type(value = Release.class, name = "release"),
    @Type(value = Sell.class, name = "sell")
  })
  sealed interface StockRequest extends Request {
    long sku();

    @Override
    default String topic() {
      return Topics.STOCK_REQUESTS;
    }

    @Override
    default long key() {
      return sku();
    }
  }

  record ListStocks(long sku) implements StockRequest {
    ListStocks {
      checkSku(sku);
    }
  }

  record ReceiveStock(long sku, long warehouseID, long count) implements StockRequest {
    ReceiveStock {
      checkSku(sku);
      check(count > 0, "count: must be at least 1");
    }
  }

  record CheckStock(long sku, long user, int count) implements StockRequest {}

  record Reserve(long sku, long orderID, int count) implements StockRequest {}

  record Release(long sku, long orderID) implements StockRequest {}

  record Sell(long sku, long orderID) implements StockRequest {}

  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes({
    @Type(value = Done.class, name = "done"),
    @Type(value = Refused.class, name = "refused"),
    @Type(value = OrderPlaced.class, name = "orderPlaced"),
    @Type(value = StocksView.class, name = "stocks")
  })
  sealed interface Reply {}

  record Done() implements Reply {}

  record Refused(String code, String text) implements Reply {}

  record OrderPlaced(long orderID) implements Reply {}

  record StocksView(List<Stock> stocks) implements Reply {}

  record Stock(long warehouseID, long count) {}

  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes(@Type(value = OrderStatusChanged.class, name = "orderStatusChanged"))
  sealed interface Event {}

  record OrderStatusChanged(long orderID, long user, Status status, List<Item> items, String at)
      implements Event {
    String eventID() {
      return orderID + ":" + status.text;
    }
  }

  enum Status {
    NEW("new"),
    AWAITING_PAYMENT("awaiting payment"),
    FAILED("failed"),
    PAID("paid");

    @JsonValue final String text;

    Status(String text) {
      this.text = text;
    }
  }

  record Item(long sku, int count) {
    Item {
      checkLine(sku, count);
    }
  }

  static long shard(long number) {
    return Math.floorMod(number, SHARDS);
  }

  private static List<Item> mergeLines(List<Item> items) {
    check(!items.isEmpty() && items.size() <= MAX_LINES, "items: must be 1 to 1000 lines");
    if (items.size() == 1) {
      return items;
    }
    var counts = new TreeMap<Long, Integer>();
    items.forEach(item -> counts.merge(item.sku, item.count, Integer::sum));
    return counts.entrySet().stream().map(e -> new Item(e.getKey(), e.getValue())).toList();
  }

  private static void checkLine(long sku, int count) {
    checkSku(sku);
    check(count > 0 && count <= MAX_COUNT, "count: must be 1 to 65535");
  }

  private static void checkSku(long sku) {
    check(sku >= 0 && sku < 1L << 32, "sku: must be a uint32");
  }

  private static void check(boolean holds, String otherwise) {
    if (!holds) {
      throw new IllegalArgumentException(otherwise);
    }
  }
}
