"""Swagger UI over our own OpenAPI document, from the files of a package: works offline."""

from importlib.metadata import distribution
from pathlib import Path

_FILES = Path(str(distribution("swagger-ui-py").locate_file("swagger_ui/static")))
_WANTED = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

# Without `validatorUrl` it would send the document to somebody else's validator.
SWAGGER_UI = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The shop: try the calls</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  displayRequestDuration: true,
});
</script>
</body>
</html>
"""


def assets() -> dict[str, tuple[str, bytes]]:
    """Read what the page needs: media type and content, by name."""
    return {
        name: (media_type, (_FILES / name).read_bytes())
        for name, media_type in _WANTED.items()
    }
