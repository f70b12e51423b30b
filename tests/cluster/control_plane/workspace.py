"""Shared parts of all programs of the control plane: a folder, an authority, the address of the API server."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cluster.control_plane.certificates import Authority, Identity

ADMIN = ("admin", ("system:masters",))


@dataclass(frozen=True, slots=True)
class Workspace:
    """`folder` has certificates and kubeconfigs, `logs` one log per program. Blocking: it writes files."""

    folder: Path
    logs: Path
    authority: Authority
    server: str
    """The API server's URL."""

    @classmethod
    def prepare(cls, folder: Path, port: int) -> Self:
        logs = folder / "logs"
        logs.mkdir()
        return cls(folder, logs, Authority.create(folder, "ca"), f"https://127.0.0.1:{port}")

    def kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Write a kubeconfig for a user who authenticates with a certificate."""
        identity = self.authority.issue(user, groups=groups)
        path = self.folder / f"{identity.certificate.stem}.kubeconfig"
        path.touch(mode=0o600)
        # JSON is YAML too.
        path.write_text(json.dumps(self._content(identity), indent=2), encoding="utf-8")
        return path

    def _content(self, identity: Identity) -> dict[str, object]:
        name = "control-plane"
        cluster = {"server": self.server, "certificate-authority": str(self.authority.certificate)}
        user = {
            "client-certificate": str(identity.certificate),
            "client-key": str(identity.key),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
