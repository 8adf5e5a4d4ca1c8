"""Several embedded brokers in one cluster, each with a second listener behind a tunnel.

A client that connects to the second listener gets the addresses of tunnels for all brokers.
A tunnel can drop and delay the traffic.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.ops.local.processes import Process, Tier

PORTS = 4
"""The number of neighbouring ports that each node uses."""

_HOST = "127.0.0.1"
_DOORS = ("PLAINTEXT", "CONTROLLER", "SIDE")


@dataclass(frozen=True)
class Node:
    """One of several brokers.

    Attributes:
        number: from 1.
        port: for clients and the other brokers; the next one is the controller's.
    """

    number: int
    port: int

    @property
    def name(self) -> str:
        """The name of its process."""
        return f"kafka-{self.number}"

    @property
    def address(self) -> str:
        """The address for clients."""
        return f"{_HOST}:{self.port}"

    @property
    def controller(self) -> str:
        """The address for the other controllers."""
        return f"{_HOST}:{self.port + 1}"

    @property
    def side_port(self) -> int:
        """The port of its second listener."""
        return self.port + 2

    @property
    def tunnel_port(self) -> int:
        """The port of the tunnel to its second listener."""
        return self.port + 3


def nodes(number: int, first_port: int) -> tuple[Node, ...]:
    """Return a number of nodes on neighbouring ports."""
    return tuple(Node(n + 1, first_port + n * PORTS) for n in range(number))


def broker(node: Node, all_nodes: Sequence[Node], directory: Path) -> Process:
    """Return the process of a node."""
    words = ("--dir", str(directory / node.name), "--port", str(node.port))
    chosen = [f"--set={name}={value}" for name, value in _settings(node, all_nodes).items()]
    command = (sys.executable, "-m", "topics.broker", "run", *words, *chosen)
    return Process(node.name, command, tier=Tier.KAFKA)


def _settings(node: Node, all_nodes: Sequence[Node]) -> dict[str, str]:
    copies = str(min(3, len(all_nodes)))
    enough = str(min(2, len(all_nodes)))
    voters = ",".join(f"{each.number}@{each.controller}" for each in all_nodes)
    ports = (node.port, node.port + 1, node.side_port)
    return {
        "node.id": str(node.number),
        "controller.quorum.voters": voters,
        "listeners": _listeners(_DOORS, ports),
        "advertised.listeners": _listeners(_DOORS[::2], (node.port, node.tunnel_port)),
        "listener.security.protocol.map": ",".join(f"{d}:PLAINTEXT" for d in _DOORS),
        "offsets.topic.replication.factor": copies,
        # Of the offsets topic, and of topics without a setting.
        "min.insync.replicas": enough,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": enough,
    }


def _listeners(clients: Sequence[str], ports: Sequence[int]) -> str:
    pairs = zip(clients, ports, strict=True)
    return ",".join(f"{client}://{_HOST}:{port}" for client, port in pairs)
