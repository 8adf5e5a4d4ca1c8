"""The documents of the interfaces and their pages: OpenAPI, AsyncAPI, Swagger UI."""
