"""Kafka with a second listener for who comes by TLS and a password, and has only the rights that it was given."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from oryx_py.local import ports
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.broker_home import BrokerHome, Ports
from oryx_py.local.java import find_java

__all__ = ["PASSWORD", "SecuredBroker"]

PASSWORD = "p,a=s\"s'w;o rd"
"""Of the user ``oryx``; with what is quoted in one place or another."""

_KEPT = "changeit"  # the password of key stores, which is no secret here
_PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{port},SECURED://127.0.0.1:{secured},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURED://127.0.0.1:{secured}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECURED:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.secured.plain.sasl.jaas.config={login} required user_oryx="{password}" user_other="{password}";
ssl.keystore.type=PKCS12
ssl.keystore.location=server.p12
ssl.keystore.password={kept}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""


@dataclass(frozen=True, slots=True)
class _Home(BrokerHome):
    """The broker's folder, with a certificate for 127.0.0.1."""

    secured: int = 0

    @property
    def authority(self) -> Path:
        """What clients trust, as PEM."""
        return self.dir / "ca.pem"

    def make_certificate(self) -> None:
        """Make the server's own certificate."""
        tool = find_java().path.with_name("keytool")
        store = ("-keystore", self.dir / "server.p12", "-storepass", _KEPT, "-alias", "server")
        names = ("-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-ext", "bc:c")
        self.dir.mkdir(parents=True, exist_ok=True)
        for command in (
            (tool, "-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", "-validity", "2", *names, *store),
            (tool, "-exportcert", "-rfc", "-file", self.authority, *store),
        ):
            subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)

    def _write_properties(self, chosen: Ports, data: str) -> None:
        BrokerHome._write_properties(self, chosen, data)
        password = PASSWORD.replace("\\", "\\\\").replace('"', '\\\\"')
        more = _PROPERTIES.format(
            port=chosen.port,
            controller_port=chosen.controller_port,
            secured=self.secured,
            login="org.apache.kafka.common.security.plain.PlainLoginModule",
            password=password,
            kept=_KEPT,
        )
        with (self.dir / "server.properties").open("a", encoding="utf-8") as file:
            file.write(more)


class SecuredBroker(EmbeddedBroker):
    """A real broker; who comes by `secured` is known by name, and may do what `allow` allowed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, port=0)
        self._home: _Home = _Home(folder.resolve(), secured=ports.choose(()))
        self._folder = self._home

    @property
    def secured(self) -> str:
        """``host:port`` of the listener that asks who comes."""
        return f"{ports.HOST}:{self._home.secured}"

    @property
    def authority(self) -> Path:
        """The PEM file by which clients know the broker."""
        return self._home.authority

    def start(self, timeout_s: float = 120.0) -> None:
        """As any broker."""
        if not self.authority.exists():
            self._home.make_certificate()
        super().start(timeout_s)

    def allow(self, user: str, rights: Iterable[tuple[ResourceType, str, Iterable[AclOperation]]]) -> None:
        """Give rights to what has a name that begins so."""
        bindings = [
            AclBinding(
                kind, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation, AclPermissionType.ALLOW
            )
            for kind, prefix, operations in rights
            for operation in operations
        ]
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        for future in admin.create_acls(bindings).values():
            future.result(30)
