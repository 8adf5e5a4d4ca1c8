package shop;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import shop.Messages.*;

/** The rows of the stores, with the fields of the product's rows. */
final class Rows {
  private Rows() {}

  /** Units of a sku, by warehouse. */
  record StockLevel(Map<Long, Long> available, Map<Long, Long> reserved) {
    StockLevel() {
      this(new HashMap<>(), new HashMap<>());
    }
  }

  enum ReservationStatus {
    RESERVED,
    REFUSED,
    RELEASED,
    SOLD;

    @JsonValue
    String text() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** An order's reservation of a sku, or the receipt of a receiveStock. */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  record StockEntry(
      ReservationStatus status, Map<Long, Long> allocation, String request, String at) {}

  record StatusChange(Status status, String at, String origin) {}

  record Order(
      long orderId,
      long user,
      String requestId,
      Map<Long, Integer> lines,
      List<StatusChange> history,
      Map<Long, Boolean> answers,
      Long lastAnswer,
      Map<String, String> processed) {
    Status status() {
      return history.get(history.size() - 1).status();
    }

    List<Item> items() {
      return lines.entrySet().stream().map(e -> new Item(e.getKey(), e.getValue())).toList();
    }
  }

  /** Lines, the fingerprints of processed requests, and the lines of purchases in flight. */
  record Cart(
      Map<Long, Integer> lines,
      LinkedHashMap<String, String> processed,
      Map<String, Map<Long, Integer>> checkouts) {
    Cart() {
      this(new LinkedHashMap<>(), new LinkedHashMap<>(), new LinkedHashMap<>());
    }
  }

  record Notification(String at, String outcome) {}
}
