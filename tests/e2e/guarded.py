"""A shop whose broker requires TLS and SCRAM, and grants only the declared rights.

Each process has a separate user. The broker logs every right that is used.
"""

import re
from pathlib import Path
from secrets import token_hex
from typing import get_args

import trustme
from cryptography.hazmat.primitives import serialization

from agents.ops.local.processes import Process, Tier
from tests.e2e.shop import Shop
from topics.admin import create
from topics.grants import grant
from topics.kafka.settings import KafkaSettings
from topics.topology import GATEWAY, OPERATOR, SERVICES, Acl, Operation, acls

ADMIN = "admin"
CUSTOMER = "customer"
REPLIES = f"{CUSTOMER}.replies"
UNPRIVILEGED = "unprivileged"
"""A user with a password and without any right."""

_BROKER = "broker"
_USERS = (ADMIN, OPERATOR, GATEWAY, *(s.name for s in SERVICES), CUSTOMER, UNPRIVILEGED)
_JVM = (
    "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dshop.authorizer.log=debug"
    " -Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug"
)
_USED = re.compile(
    r"Principal = User:(\S+) is Allowed operation = (READ|WRITE|CREATE|ALTER_CONFIGS)"
    r" .* resource = (Topic|Group):LITERAL:(\S+) "
)
_OPERATIONS = {name.upper(): name for name in get_args(Operation)}


class GuardedShop(Shop):
    """A shop behind TLS; its `cluster` is the operator's."""

    def __init__(self, directory: Path) -> None:
        self.passwords = {user: f"pw-{token_hex(8)}" for user in _USERS}
        self.authority = directory / "authority.pem"
        self._certificate = directory / "broker.pem"
        _certify(self.authority, self._certificate)
        super().__init__(directory)
        self.cluster = self.cluster_of(OPERATOR)

    def cluster_of(self, user: str, password: str | None = None) -> KafkaSettings:
        """Return the cluster with the login of a user, or with another password."""
        return KafkaSettings(
            kafka=self.kafka,
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_username=user,
            kafka_sasl_password=password or self.passwords[user],
            kafka_ssl_cafile=str(self.authority),
        )

    def adapted(self, process: Process) -> Process:
        """Return a process with its login or its certificate."""
        process = super().adapted(process)
        if process.tier is Tier.KAFKA:
            settings = tuple(f"--set={name}={text}" for name, text in self._clients())
            users = " ".join(f"{user}={word}" for user, word in self.passwords.items())
            own = {"KAFKA_USERS": users, "KAFKA_JVM_OPTIONS": _JVM}
            return Process(process.name, (*process.command, *settings), own, process.tier)
        user = process.name.rpartition("-")[0]
        own = process.environment | self.login(user) if user in self.passwords else {}
        return Process(process.name, process.command, own, process.tier)

    async def prepare(self) -> None:
        """Grant the catalogue's rights to each user, and create the topics."""
        await grant(self.cluster_of(ADMIN), acls([CUSTOMER]))
        await create(self.cluster)

    def rights_used(self) -> set[Acl]:
        """Return all rights that users other than the administrator have used."""
        log = self["kafka"].log.read_text(errors="replace")
        return {
            Acl(user, _operation(operation), resource.lower(), name)
            for user, operation, resource, name in _USED.findall(log)
            if user not in (ADMIN, _BROKER)
        }

    def login(self, user: str) -> dict[str, str]:
        """Return the settings with the login of a user."""
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": self.passwords[user],
            "KAFKA_SSL_CAFILE": str(self.authority),
        }

    def _clients(self) -> list[tuple[str, str]]:
        port, paper = self.local.kafka_port, str(self._certificate)
        listener = "listener.name"
        return [
            (
                "listeners",
                f"SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}",
            ),
            ("advertised.listeners", f"SASL_SSL://127.0.0.1:{port}"),
            ("listener.security.protocol.map", "SASL_SSL:SASL_SSL,CONTROLLER:SSL"),
            ("inter.broker.listener.name", "SASL_SSL"),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
            ("sasl.mechanism.inter.broker.protocol", "SCRAM-SHA-512"),
            (f"{listener}.sasl_ssl.scram-sha-512.sasl.jaas.config", self._jaas()),
            (f"{listener}.controller.ssl.client.auth", "required"),
            ("ssl.principal.mapping.rules", "RULE:.*CN=([^,]+).*/$1/"),
            *(("ssl.keystore.type", "PEM"), ("ssl.keystore.location", paper)),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", str(self.authority)),
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            ("super.users", f"User:{ADMIN};User:{_BROKER}"),
        ]

    def _jaas(self) -> str:
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        password = self.passwords[ADMIN]
        return f'{module} required username="{ADMIN}" password="{password}";'


def _certify(authority: Path, certificate: Path) -> None:
    """Write an authority's certificate, and the broker's key with its certificate."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(authority)
    issued = ca.issue_cert("127.0.0.1", common_name=_BROKER)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    words = key.private_bytes(  # the only format that Kafka reads
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    certificate.write_bytes(words + chain)


def _operation(name: str) -> Operation:
    return _OPERATIONS[name.replace("_", "")]
