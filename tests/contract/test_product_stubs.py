import subprocess
import sys
from pathlib import Path

from schemas.product_service import SERVICE, product_pb2

ROOT = Path(__file__).parents[2]
FOLDER = Path("schemas/product_service")


def test_the_checked_in_messages_are_what_the_proto_generates(tmp_path):
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs]
    subprocess.run([*protoc, FOLDER / "product.proto"], cwd=ROOT, check=True)
    for name in ("product_pb2.py", "product_pb2.pyi"):
        assert (ROOT / FOLDER / name).read_bytes() == (
            tmp_path / FOLDER / name
        ).read_bytes()


def test_a_request_is_byte_for_byte_what_the_public_service_reads():
    request = product_pb2.GetProductRequest(token="testtoken", sku=2**32 - 1)
    assert request.SerializeToString() == b"\x0a\x09testtoken\x10\xff\xff\xff\xff\x0f"


def test_an_answer_of_the_public_service_is_read():
    answer = product_pb2.GetProductResponse.FromString(b"\x0a\x02\xd0\x96\x10\x9a\x11")
    assert (answer.name, answer.price) == ("Ж", 2202)


def test_a_page_of_skus_is_packed_as_the_public_service_packs_it():
    page = product_pb2.ListSkusResponse(skus=[1, 65537])
    assert page.SerializeToString() == b"\x0a\x04\x01\x81\x80\x04"
    request = product_pb2.ListSkusRequest(token="t", start_after_sku=1, count=2)
    assert request.SerializeToString() == b"\x0a\x01t\x10\x01\x18\x02"


def test_the_service_is_called_by_the_public_names():
    service = product_pb2.DESCRIPTOR.services_by_name["ProductService"]
    assert service.full_name == SERVICE == "route256.product.ProductService"
    assert set(service.methods_by_name) == {"GetProduct", "ListSkus"}
