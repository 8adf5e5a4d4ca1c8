"""Generate the gRPC stubs from product.proto.

    python -m schemas.product_service.generate [FOLDER]

Run from the root of the repository, with grpcio-tools installed (extra `dev`). Without a
folder the checked-in stubs are replaced.
"""

import subprocess
import sys
from pathlib import Path

_FOLDER = "schemas/product_service"
PROTO = f"{_FOLDER}/product.proto"
STUBS = tuple(f"{_FOLDER}/product_{name}" for name in ("pb2.py", "pb2.pyi", "pb2_grpc.py"))

_HEADER = f"# Generated from {PROTO} by `python -m {__package__}.generate`; do not edit.\n"


def generate(folder: Path) -> None:
    """Write the stubs below a folder, under the paths of `STUBS`."""
    # The path that protoc gets becomes the package of the import.
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, PROTO]
    root = Path(__file__).parents[2]
    subprocess.run(command, cwd=root, check=True)  # noqa: S603 -- constants only
    for stub in STUBS:
        path = folder / stub
        path.write_text(_HEADER + path.read_text("utf-8"), "utf-8")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2])
