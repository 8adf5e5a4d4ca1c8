package shop;

/** The names of the topics, which service.py creates. */
final class Topics {
  static final String CART_REQUESTS = "ks.cart.requests";
  static final String ORDER_REQUESTS = "ks.order.requests";
  static final String STOCK_REQUESTS = "ks.stock.requests";
  static final String ORDER_EVENTS = "ks.order.events";
  static final String GATEWAY_REPLIES = "ks.gateway.replies";
  static final String DEAD_LETTERS = "ks.dlq";

  private Topics() {}
}
