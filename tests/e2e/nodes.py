"""Several embedded brokers that are one cluster, and a side door to each of them.

A client that comes in by the side door is told to find all brokers at other ports than
those on which they listen: there stands whoever may cut and delay what is said.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.ops.local.processes import Process, Tier

PORTS = 4
"""Neighbouring ports that each node takes."""

_HOST = "127.0.0.1"
_DOORS = ("PLAINTEXT", "CONTROLLER", "SIDE")


@dataclass(frozen=True)
class Node:
    """One of several brokers.

    Attributes:
        number: from 1.
        port: for clients and the other brokers; the next one is its controller's.
    """

    number: int
    port: int

    @property
    def name(self) -> str:
        """Its process's name."""
        return f"kafka-{self.number}"

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{_HOST}:{self.port}"

    @property
    def controller(self) -> str:
        """Where the other controllers find it."""
        return f"{_HOST}:{self.port + 1}"

    @property
    def side_port(self) -> int:
        """Where its side door is."""
        return self.port + 2

    @property
    def tunnel_port(self) -> int:
        """Where whoever comes in by the side door is told to find it."""
        return self.port + 3


def nodes(number: int, first_port: int) -> tuple[Node, ...]:
    """Return so many nodes on neighbouring ports."""
    return tuple(Node(n + 1, first_port + n * PORTS) for n in range(number))


def broker(node: Node, all_nodes: Sequence[Node], directory: Path) -> Process:
    """Return the process of one of some nodes."""
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
        # Of the offsets topic, and of whatever topic does not say otherwise.
        "min.insync.replicas": enough,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": enough,
    }


def _listeners(doors: Sequence[str], ports: Sequence[int]) -> str:
    pairs = zip(doors, ports, strict=True)
    return ",".join(f"{door}://{_HOST}:{port}" for door, port in pairs)
