"""A stock file: each valid line is a request; an invalid one is named by its number."""

import json
from pathlib import Path

import pytest
from click import UsageError

from agents.ops.stock_file import StockFile, read
from schemas.contract import MAX_STOCK
from schemas.stock import ReceiveStock

HEAD = "sku,warehouseID,count"
INTEGER = "count must be an integer, without quotes, fraction or exponent"


def stock_file(directory: Path, content: str | bytes, name: str = "goods.csv") -> StockFile:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path)


def received(file: StockFile) -> list[tuple[int, int, int, int]]:
    return [(n, r.sku, r.warehouse_id, r.count) for n, r in file.lines.items()]


def test_each_line_of_a_csv_is_a_request(tmp_path: Path):
    file = stock_file(tmp_path, f"{HEAD}\n1,-2,3\n4294967295,5,{MAX_STOCK}\n")
    assert received(file) == [(2, 1, -2, 3), (3, 4294967295, 5, MAX_STOCK)]
    assert not file.bad
    assert file.lines[2] == ReceiveStock(sku=1, warehouse_id=-2, count=3)


@pytest.mark.parametrize(
    "content",
    [
        "count,sku,warehouseID\n3,1,2",
        '"sku" , "warehouseID", "count"\n"1", 2,3 \n\n'.replace(" ,", ","),
        f"\ufeff{HEAD}\r\n1,2,3\r\n",
        f"{HEAD}\r1,2,3\r",
        f"{HEAD} \n1,2,3\n",
        "sku;warehouseID;count\r\n1;2;3\r\n",
        "sku\twarehouseID\tcount\n1\t2\t3\n",
        "sku ; warehouseID\t;count\n1 ; 2 ;\t3\n",
        '"sku" ;"warehouseID" ;"count" \n"1" ;"2" ;"3" ',
        f"{HEAD},\n1,2,3,\n,,,\n ,\n",
        "\ufeffsku\twarehouseID\tcount\r\n1\t2\t3\r\n".encode("utf-16-le"),
        "\ufeffsku\twarehouseID\tcount\r\n1\t2\t3\r\n".encode("utf-16-be"),
    ],
    ids=[
        "in another order",
        "with quotes and spaces",
        "of Windows",
        "of old Macs",
        "with a space behind the last name",
        "with semicolons",
        "with tabs",
        "with spaces around semicolons",
        "with quotes and spaces behind them",
        "with an empty column and empty lines",
        "of Excel's Unicode text",
        "of the same on other processors",
    ],
)
def test_a_csv_may_come_from_any_program(tmp_path: Path, content: str | bytes):
    assert received(stock_file(tmp_path, content)) == [(2, 1, 2, 3)]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path):
    file = stock_file(tmp_path, f"\n{HEAD}\n\n1,2,3\n,,\n4,5,x\n")
    assert received(file) == [(4, 1, 2, 3)]
    [bad] = file.bad
    assert bad.startswith("line 6: ")


def test_each_object_of_a_json_is_a_request(tmp_path: Path):
    rows = [{"sku": n, "warehouseID": 2, "count": MAX_STOCK} for n in (1, 2)]
    file = stock_file(tmp_path, json.dumps(rows), "GOODS.JSON")
    assert received(file) == [(1, 1, 2, MAX_STOCK), (2, 2, 2, MAX_STOCK)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,1,0", "count must be at least 1, in "),
        (f"1,1,{MAX_STOCK + 1}", f"count must be less than {MAX_STOCK + 1}, in "),
        ("-1,1,1", "sku must be at least 0, in "),
        ("4294967296,1,1", "sku must be less than 4294967296, in "),
        ("1,1", 'count is missing, in {"sku": 1, "warehouseID": 1}'),
        ("1,1,1,x", "a cell beyond the last column is not a field of this call, in "),
        ("1,1,", f'{INTEGER}, in {{"sku": 1, "warehouseID": 1, "count": ""}}'),
        ("1,1,1.0", f'{INTEGER}, in {{"sku": 1, "warehouseID": 1, "count": "1.0"}}'),
        ("1,1,1_000", f'{INTEGER}, in {{"sku": 1, "warehouseID": 1, "count": "1_000"}}'),
        ("1,1,\u0661", INTEGER),
        (f"1,1,{'9' * 5000}", INTEGER),
        ("a,b,1", f"sku{INTEGER[5:]}; warehouseID{INTEGER[5:]}, in "),
    ],
)
def test_a_bad_line_of_a_csv_is_named_by_its_number_and_the_others_stay(
    tmp_path: Path, line: str, reason: str
):
    file = stock_file(tmp_path, f"{HEAD}\n1,1,1\n\n{line}\n2,2,2\n")
    assert received(file) == [(2, 1, 1, 1), (5, 2, 2, 2)]
    [bad] = file.bad
    assert bad.startswith(f"line 4: {reason}")
    assert len(bad) < 1000


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (5, "the line must be a JSON object, in 5"),
        (None, "the line must be a JSON object, in null"),
        ({"sku": 1, "warehouseID": 1, "count": True}, INTEGER),
        ({"sku": 1, "warehouseID": 1, "count": "1"}, INTEGER),
        ({"sku": 1, "warehouseID": 1, "count": 1.0}, INTEGER),
        ({"sku": 1, "warehouse_id": 1, "count": 1}, "warehouseID is missing; warehouse_id"),
        (
            {"type": "stocks", "sku": 1},
            "type must be 'receiveStock'; warehouseID is",
        ),
    ],
)
def test_a_bad_object_of_a_json_is_named_by_its_number(
    tmp_path: Path, row: object, reason: str
):
    good = {"sku": 1, "warehouseID": 1, "count": 1}
    file = stock_file(tmp_path, json.dumps([good, row]), "goods.json")
    assert received(file) == [(1, 1, 1, 1)]
    [bad] = file.bad
    assert bad.startswith(f"line 2: {reason}")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("goods.csv", b"", "the first line must be sku,warehouseID,count"),
        ("goods.csv", b"1,2,3\n", "the first line must be"),
        ("goods.csv", b"sku,warehouseID,count,note\n", "'note' is unknown"),
        ("goods.csv", b"sku,warehouseID,count,sku\n", "sku is there twice"),
        (
            "goods.csv",
            b"sku,warehouse,count\n",
            "'warehouse' is unknown; warehouseID is mi",
        ),
        ("goods.csv", b"sku|warehouseID|count\n", "by a comma, a semicolon or a tab"),
        ("goods.csv", b"sku,,count\n", "'' is unknown; warehouseID is missing"),
        ("goods.csv", HEAD.encode() + b'\n1,2,"3\n', "line 2: unexpected end of data"),
        ("goods.csv", b"\xff\xfa", "'utf-8' codec can't decode"),
        ("goods.json", b"", "EOF while parsing a value"),
        ("goods.json", b'{"sku": 1}', "not a list of objects with sku, warehouseID"),
        ("goods.json", b"[" * 100_000, "recursion limit exceeded at line 1 column 202"),
        (
            "goods.json",
            (
                b'[{"sku":1,"warehouseID":1,"count":1},\n'
                b'{"sku":1,"warehouseID":1,"count":1,"count":2}]'
            ),
            "line 2: count is given more than once",
        ),
        ("goods.xlsx", b"", "neither .csv nor .json"),
    ],
)
def test_a_file_without_stock_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
):
    with pytest.raises(UsageError) as error:
        stock_file(tmp_path, content, name)
    assert reason in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(UsageError, match=r"nothing\.csv: No such file or directory"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(UsageError, match="Is a directory"):
        read(tmp_path)


def test_a_line_has_the_same_key_in_the_same_file_only(tmp_path: Path):
    content = f"{HEAD}\n1,1,1\n1,1,1\n"
    file = stock_file(tmp_path, content)
    again = stock_file(tmp_path, content, "copy.csv")
    other = stock_file(tmp_path, content + "\n")
    keys = [[each.key(number) for number in each.lines] for each in (file, again, other)]
    assert keys[0] == keys[1]
    assert len({*keys[0], *keys[2]}) == 4
    assert all(len(key) <= 128 and key.isascii() for key in keys[0])
