package shop;

import static java.util.Map.Entry.comparingByKey;

import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.streams.state.KeyValueStore;
import shop.Messages.*;
import shop.Rows.*;

/** Stock of a sku: received, reserved for orders, released or sold. */
final class StockProcessor extends AggregateProcessor<StockRequest> {
  static final String LEVELS = "stock-levels";
  static final String ENTRIES = "stock-entries";

  private KeyValueStore<String, StockLevel> levels;
  private KeyValueStore<String, StockEntry> entries;

  @Override
  void open() {
    levels = store(LEVELS);
    entries = store(ENTRIES);
  }

  @Override
  void handle(StockRequest request, Cause cause) throws Refusal {
    String sku = Long.toString(request.sku());
    if (request instanceof ReceiveStock received) {
      receive(sku, received, cause);
    } else if (request instanceof Reserve asked) {
      reserve(sku, asked, cause);
    } else if (request instanceof Sell sold) {
      close(sku, sold.orderID(), ReservationStatus.SOLD, cause);
    } else if (request instanceof Release released) {
      close(sku, released.orderID(), ReservationStatus.RELEASED, cause);
    } else if (request instanceof CheckStock asked) {
      int most = (int) Math.min(sum(level(sku).available()), Messages.MAX_COUNT);
      command(new StockChecked(asked.user(), asked.sku(), asked.count(), most));
    } else {
      var warehouses = new TreeMap<>(level(sku).available()).entrySet().stream();
      reply(new StocksView(warehouses.map(w -> new Stock(w.getKey(), w.getValue())).toList()));
    }
  }

  private void receive(String sku, ReceiveStock received, Cause cause) throws Refusal {
    String key = sku + "/" + cause.requestId();
    String fingerprint = "receiveStock " + received.warehouseID() + " " + received.count();
    StockEntry known = entries.get(key);
    if (known == null) {
      StockLevel level = level(sku);
      long available = level.available().getOrDefault(received.warehouseID(), 0L);
      long reserved = level.reserved().getOrDefault(received.warehouseID(), 0L);
      if (received.count() > Long.MAX_VALUE - available - reserved) {
        throw new Refusal("count-too-large", "a warehouse can't hold that much");
      }
      level.available().put(received.warehouseID(), available + received.count());
      entries.put(key, new StockEntry(null, null, fingerprint, cause.timestamp()));
      levels.put(sku, level);
    } else if (!fingerprint.equals(known.request())) {
      throw new Refusal("key-reused", "this idempotency key was used for: " + known.request());
    }
    reply(new Done());
  }

  private void reserve(String sku, Reserve asked, Cause cause) {
    String key = sku + "/" + asked.orderID();
    StockEntry entry = entries.get(key);
    if (entry == null) {
      StockLevel level = level(sku);
      Map<Long, Long> allocation = pick(level.available(), asked.count());
      var status =
          allocation.isEmpty() ? ReservationStatus.REFUSED : ReservationStatus.RESERVED;
      entry = new StockEntry(status, allocation, null, cause.timestamp());
      entries.put(key, entry);
      if (status == ReservationStatus.RESERVED) {
        allocation.forEach((warehouse, units) -> move(level, warehouse, -units, units));
        levels.put(sku, level);
      }
    }
    boolean reserved = !entry.allocation().isEmpty();
    command(new StockReserved(asked.orderID(), asked.sku(), reserved));
  }

  private void close(String sku, long orderId, ReservationStatus status, Cause cause) {
    String key = sku + "/" + orderId;
    StockEntry entry = entries.get(key);
    if (entry == null || entry.status() != ReservationStatus.RESERVED) {
      return;
    }
    StockLevel level = level(sku);
    boolean sold = status == ReservationStatus.SOLD;
    entry.allocation().forEach((warehouse, n) -> move(level, warehouse, sold ? 0 : n, -n));
    entries.put(key, new StockEntry(status, entry.allocation(), null, cause.timestamp()));
    levels.put(sku, level);
  }

  private StockLevel level(String sku) {
    StockLevel level = levels.get(sku);
    return level == null ? new StockLevel() : level;
  }

  /** Pick from the fullest warehouse first, ties by lowest id; all or nothing. */
  private static Map<Long, Long> pick(Map<Long, Long> available, int count) {
    var allocation = new HashMap<Long, Long>();
    if (sum(available) < count) {
      return allocation;
    }
    Comparator<Map.Entry<Long, Long>> fullestFirst =
        Map.Entry.<Long, Long>comparingByValue().reversed().thenComparing(comparingByKey());
    long left = count;
    for (var warehouse : available.entrySet().stream().sorted(fullestFirst).toList()) {
      if (left > 0) {
        long units = Math.min(warehouse.getValue(), left);
        allocation.put(warehouse.getKey(), units);
        left -= units;
      }
    }
    return allocation;
  }

  private static void move(StockLevel level, long warehouse, long available, long reserved) {
    add(level.available(), warehouse, available);
    add(level.reserved(), warehouse, reserved);
  }

  /** An empty warehouse has no entry. */
  private static void add(Map<Long, Long> units, long warehouse, long change) {
    units.merge(warehouse, change, Long::sum);
    units.remove(warehouse, 0L);
  }

  private static long sum(Map<Long, Long> units) {
    return units.values().stream().mapToLong(Long::longValue).sum();
  }
}
