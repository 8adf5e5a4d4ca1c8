"""The gRPC interface of ProductService: its proto, and the messages generated from it."""

SERVICE = "route256.product.ProductService"
