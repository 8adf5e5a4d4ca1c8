"""Pages and documents of the interfaces: OpenAPI, AsyncAPI, Swagger UI."""
