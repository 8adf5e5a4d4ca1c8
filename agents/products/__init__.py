"""Prices carts by ProductService, an external gRPC service."""
