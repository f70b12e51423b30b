"""Register KEDA's admission webhooks at the API server."""

import base64
from pathlib import Path
from typing import Any

import yaml

SERVICE = "keda-admission-webhooks"


def webhook_configuration(manifest: Path, port: int, trusted: bytes) -> dict[str, Any]:
    """Return the ValidatingWebhookConfiguration of KEDA, changed to a port. Blocking."""
    configuration: dict[str, Any] = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"]["service"]["port"] = port
        webhook["clientConfig"]["caBundle"] = base64.b64encode(trusted).decode()
        # KEDA's default is Ignore. In a test a webhook without a response must not count as an acceptance.
        webhook["failurePolicy"] = "Fail"
    return configuration
