"""How the API server asks KEDA's webhooks before it takes an object of KEDA's kinds."""

import base64
from pathlib import Path
from typing import Any

import yaml

SERVICE = "keda-admission-webhooks"


def asked_at(manifest: Path, port: int, trusted: bytes) -> dict[str, Any]:
    """Return KEDA's own ValidatingWebhookConfiguration, led to a port; blocking."""
    configuration: dict[str, Any] = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"]["service"]["port"] = port
        webhook["clientConfig"]["caBundle"] = base64.b64encode(trusted).decode()
        # KEDA ships it as Ignore. Here a webhook that does not answer must not pass for one that says yes.
        webhook["failurePolicy"] = "Fail"
    return configuration
