"""The gRPC interface of ProductService: proto and generated stubs."""
