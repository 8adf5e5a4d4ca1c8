"""Health check of a container: `python -m agents.ops.local.health gateway|product|worker`.

The check runs every few seconds in each container, so it imports only the standard library.
"""

import os
import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

GATEWAY_PORT = 8080
_SECONDS = 2.0
_ESTABLISHED = "01"


def gateway() -> bool:
    """Request `/readyz` of the gateway."""
    address = "127.0.0.1", GATEWAY_PORT
    connection = HTTPConnection(*address, timeout=_SECONDS)
    if os.environ.get("GATEWAY_TLS_CERT"):
        # The certificate may have another host name; the request has no secrets.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = HTTPSConnection(*address, timeout=_SECONDS, context=context)
    connection.request("GET", "/readyz")
    return connection.getresponse().status == 200  # noqa: PLR2004


def product() -> bool:
    """Connect to the port of the stand-in."""
    with socket.create_connection(("127.0.0.1", 8082), timeout=_SECONDS):
        return True


def worker() -> bool:
    """Return whether there is a connection to a broker; a worker without Kafka exits."""
    brokers = os.environ["KAFKA"].split(",")
    ports = {f"{int(broker.rpartition(':')[2]):04X}" for broker in brokers}
    rows = (
        row.split()
        for table in Path("/proc/net").glob("tcp*")
        for row in table.read_text().splitlines()[1:]
    )
    return any(
        row[3] == _ESTABLISHED and row[2].rpartition(":")[2] in ports for row in rows
    )


if __name__ == "__main__":
    checks = {check.__name__: check for check in (gateway, product, worker)}
    sys.exit(not checks[sys.argv[1]]())
