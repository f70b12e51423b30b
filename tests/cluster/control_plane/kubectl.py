"""kubectl for one cluster."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.local.embedded_aws import without_aws

_TIMEOUT_S = 120.0


class Refused(Exception):
    """kubectl failed. `str()` has its error output."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Runs commands as the user of a kubeconfig. `cache` is its folder for API discovery."""

    program: Path
    kubeconfig: Path
    cache: Path | None = None

    async def run(self, *arguments: str, stdin: str = "") -> str:
        """Run a command and return its output. Raises Refused."""
        process = await asyncio.create_subprocess_exec(
            str(self.program),
            *arguments,
            env={**without_aws(os.environ), **self._environment()},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                out, err = await process.communicate(stdin.encode())
        except BaseException:
            if process.returncode is None:
                process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            raise Refused(f"kubectl {' '.join(arguments)}: {err.decode(errors='replace').strip()}")
        return out.decode()

    def _environment(self) -> dict[str, str]:
        cache = {} if self.cache is None else {"KUBECACHEDIR": str(self.cache)}
        return {"KUBECONFIG": str(self.kubeconfig), **cache}

    async def apply(self, *arguments: str) -> str:
        """Apply on the server side with full validation of each object."""
        return await self.run("apply", "--server-side", "--validate=strict", *arguments)

    async def apply_objects(self, objects: Iterable[Mapping[str, Any]]) -> str:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return await self.run(
            "apply", "--server-side", "--validate=strict", "-f", "-", stdin=json.dumps(items)
        )

    async def get(self, *arguments: str) -> Any:
        """Return an object, or a list of objects, from the server."""
        return json.loads(await self.run("get", *arguments, "--output", "json"))
