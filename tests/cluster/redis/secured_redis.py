"""A Redis configured as in production: TLS, and a user with only the commands that we need."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cli.local.embedded_aws import HOST, free_port
from cluster.control_plane.certificates import Authority, Identity
from harness.redis_server import RedisServer

OTHER_HOST = "127.0.0.2"
"""Redis listens at this address too, but its certificate does not include it."""
USER = "imageservice"
PASSWORD = "s3cret/with#signs@all?"
_COMMANDS = (
    *("mget", "get", "set", "hgetall", "hset", "hdel", "pexpire", "time", "evalsha", "script|load"),
    *("publish", "subscribe", "ping", "hello"),
)
"""The commands that docs/deploy.md lists."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Two certificate authorities. The first one issued the certificate of the server."""

    known: Authority
    unknown: Authority
    server: Identity

    @classmethod
    def in_folder(cls, folder: Path) -> "Certificates":
        known = Authority.create(folder, "known")
        return cls(known, Authority.create(folder, "unknown"), known.issue("redis"))


@dataclass(frozen=True, slots=True)
class SecuredRedis:
    """`plain` is the same server, through the port without TLS and the default user."""

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

    async def connections(self) -> list[dict[str, str]]:
        """Return the connections of USER, in the form of CLIENT LIST."""
        async with self.plain.client as client:
            clients: list[dict[str, str]] = await client.client_list()
        return [each for each in clients if each["user"] == USER]


async def secure(redis: RedisServer, certificates: Certificates) -> SecuredRedis:
    """Add a port with TLS and USER to a running Redis."""
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
