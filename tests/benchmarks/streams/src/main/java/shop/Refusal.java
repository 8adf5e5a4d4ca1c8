package shop;

/** A rule refuses a request: nothing is stored, and the client gets a reply. */
final class Refusal extends Exception {
  final String code;

  Refusal(String code, String text) {
    super(text, null, false, false);
    this.code = code;
  }
}
