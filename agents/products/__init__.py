"""Names and prices from ProductService, a foreign gRPC service."""
