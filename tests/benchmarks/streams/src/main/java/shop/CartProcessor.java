package shop;

import java.util.List;
import java.util.Map;
import org.apache.kafka.streams.state.KeyValueStore;
import shop.Messages.*;
import shop.Rows.Cart;

/** Carts: stock is asked before a line grows; a purchase takes all lines to an order. */
final class CartProcessor extends AggregateProcessor<CartRequest> {
  static final String CARTS = "carts";
  private static final int DEDUP_WINDOW = 256;

  private KeyValueStore<String, Cart> carts;

  @Override
  void open() {
    carts = store(CARTS);
  }

  @Override
  void handle(CartRequest request, Cause cause) throws Refusal {
    String user = Long.toString(request.user());
    Cart stored = carts.get(user);
    Cart cart = stored == null ? new Cart() : stored;
    if (request instanceof AddToCart add) {
      if (isNew(cart, fingerprint(add.sku(), add.count()), cause)) {
        newTotal(cart, add.sku(), add.count());
        command(new CheckStock(add.sku(), add.user(), add.count()));
      } else {
        reply(new Done());
      }
    } else if (request instanceof StockChecked checked) {
      add(user, cart, checked, cause);
    } else if (request instanceof Purchase) {
      purchase(user, cart, request.user(), cause);
    } else if (request instanceof OrderSettled settled) {
      end(user, cart, settled);
    }
  }

  private void add(String user, Cart cart, StockChecked checked, Cause cause) throws Refusal {
    String fingerprint = fingerprint(checked.sku(), checked.count());
    if (isNew(cart, fingerprint, cause)) {
      int total = newTotal(cart, checked.sku(), checked.count());
      if (total > checked.available()) {
        String text = "of sku %d, %d can be bought, not %d";
        throw new Refusal(
            "insufficient-stock", text.formatted(checked.sku(), checked.available(), total));
      }
      cart.lines().put(checked.sku(), total);
      remember(cart, cause.requestId(), fingerprint);
      carts.put(user, cart);
    }
    reply(new Done());
  }

  private void purchase(String user, Cart cart, long buyer, Cause cause) throws Refusal {
    String id = cause.requestId();
    if (isNew(cart, "purchase", cause)) {
      if (cart.lines().isEmpty()) {
        throw new Refusal("cart-empty", "the cart is empty");
      }
      cart.checkouts().put(id, Map.copyOf(cart.lines()));
      cart.lines().clear();
      remember(cart, id, "purchase");
      carts.put(user, cart);
    }
    Map<Long, Integer> lines = cart.checkouts().get(id);
    if (lines == null) { // a redelivered one, whose order has settled
      reply(new OrderPlaced(OrderProcessor.orderId(buyer, "purchase:" + id)));
      return;
    }
    var items = lines.entrySet().stream().map(e -> new Item(e.getKey(), e.getValue()));
    command(new CreateOrder(buyer, items.toList()), id);
  }

  private void end(String user, Cart cart, OrderSettled settled) {
    Map<Long, Integer> bought = cart.checkouts().remove(settled.purchase());
    if (bought != null) {
      if (settled.status() == Status.FAILED) {
        bought.forEach((sku, count) -> cart.lines().merge(sku, count, CartProcessor::capped));
      }
      carts.put(user, cart);
    }
    reply(new OrderPlaced(settled.orderID()));
  }

  private static boolean isNew(Cart cart, String fingerprint, Cause cause) throws Refusal {
    String known = cart.processed().get(cause.requestId());
    if (known != null && !known.equals(fingerprint)) {
      throw new Refusal("key-reused", "this idempotency key was used for: " + known);
    }
    return known == null;
  }

  private static int newTotal(Cart cart, long sku, int count) throws Refusal {
    int total = cart.lines().getOrDefault(sku, 0) + count;
    if (total > Messages.MAX_COUNT) {
      throw new Refusal("count-too-large", "a line can't pass 65535");
    }
    if (!cart.lines().containsKey(sku) && cart.lines().size() >= Messages.MAX_LINES) {
      throw new Refusal("cart-full", "a cart has at most 1000 different skus");
    }
    return total;
  }

  private static void remember(Cart cart, String id, String fingerprint) {
    cart.processed().put(id, fingerprint);
    if (cart.processed().size() > DEDUP_WINDOW) {
      cart.processed().remove(List.copyOf(cart.processed().keySet()).get(0));
    }
  }

  private static String fingerprint(long sku, int count) {
    return "addToCart " + sku + " " + count;
  }

  private static int capped(int a, int b) {
    return Math.min(a + b, Messages.MAX_COUNT);
  }
}
