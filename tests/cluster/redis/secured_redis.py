"""A Redis as it should be in production: TLS, and a user who may do what we do and nothing else."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cli.local.embedded_aws import HOST, free_port
from cluster.control_plane.certificates import Authority, Identity
from harness.redis_server import RedisServer

OTHER_HOST = "127.0.0.2"
"""It listens there too, and its certificate is not for it."""
USER = "imageservice"
PASSWORD = "s3cret/with#signs@all?"
_COMMANDS = ("mget", "set", "publish", "subscribe", "ping", "hello")
"""Those that docs/deploy.md names."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Two authorities; the server's certificate is of the first one."""

    known: Authority
    unknown: Authority
    server: Identity

    @classmethod
    def in_folder(cls, folder: Path) -> "Certificates":
        known = Authority.create(folder, "known")
        return cls(known, Authority.create(folder, "unknown"), known.issue("redis"))


@dataclass(frozen=True, slots=True)
class SecuredRedis:
    """`plain` is the same server through a port and a user of the suite's own."""

    plain: RedisServer
    certificates: Certificates
    tls_port: int

    @property
    def url(self) -> str:
        return self.url_of()

    def url_of(
        self,
        *,
        user: str = USER,
        password: str = PASSWORD,
        host: str = HOST,
        authority: Authority | None = None,
    ) -> str:
        trusted = (authority or self.certificates.known).certificate
        login = f"{user}:{quote(password, safe='')}"
        return f"rediss://{login}@{host}:{self.tls_port}?ssl_ca_certs={trusted}"

    async def customers(self) -> list[dict[str, str]]:
        """The connections of USER, as CLIENT LIST tells them."""
        async with self.plain.client as client:
            connections: list[dict[str, str]] = await client.client_list()
        return [each for each in connections if each["user"] == USER]


async def secured(redis: RedisServer, certificates: Certificates) -> SecuredRedis:
    """Give a running Redis a second port with TLS, and USER."""
    port = free_port()
    tls = {
        "bind": f"{HOST} {OTHER_HOST}",
        "tls-cert-file": str(certificates.server.certificate),
        "tls-key-file": str(certificates.server.key),
        "tls-ca-cert-file": str(certificates.known.certificate),
        "tls-auth-clients": "no",
        "tls-port": str(port),
    }
    async with redis.client as client:
        for name, value in tls.items():
            await client.config_set(name, value)
        await client.acl_setuser(
            USER,
            enabled=True,
            passwords=[f"+{PASSWORD}"],
            keys=["imageservice:*"],
            channels=["imageservice:*"],
            commands=["-@all", *(f"+{each}" for each in _COMMANDS)],
        )
    return SecuredRedis(redis, certificates, port)
