"""A ProductService in Go, which is no bottleneck of what is measured with it."""

import json
import shutil
from pathlib import Path

from agents.ops.product_stand_in import PRODUCTS
from topics.broker.java import CannotRunError, run_tool

_HERE = Path(__file__).parent
_BUILT = _HERE.parents[2] / ".cache" / "product-service"


def build() -> str:
    """Compile it; return the path of the program.

    Raises:
        CannotRunError: Go is missing, or fails.
    """
    go = shutil.which("go")
    if not go:
        raise CannotRunError("no Go")
    run_tool(
        "Go can't build ProductService", go, "build", "-C", str(_HERE), "-o", str(_BUILT)
    )
    return str(_BUILT)


def write_products(path: Path) -> None:
    """Write the products of the stand-in to a file, as the program reads them."""
    products = {sku: product._asdict() for sku, product in PRODUCTS.items()}
    path.write_text(json.dumps(products))
