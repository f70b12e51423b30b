"""The pip configuration of this machine as build secrets, so that a build reaches the same package index."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Settings that apply inside a build. A folder of wheels on this machine, for example, does not.
_COPIED = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")


def build_secrets(folder: Path) -> list[str]:
    """Write pip.conf into `folder` and return the options for `docker build`, with the certificate if there is one."""
    settings = dict(_settings())
    lines = [f"{key} = {value}" for key, value in settings.items() if key in _COPIED]
    options = ["--secret", f"id=pip.conf,src={folder / 'pip.conf'}"]
    if "cert" in settings:
        lines.append("cert = /run/secrets/pip.pem")
        options += ["--secret", f"id=pip.pem,src={settings['cert']}"]
    path = folder / "pip.conf"
    path.touch(mode=0o600)
    path.write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
    return options


def _settings() -> Iterator[tuple[str, str]]:
    """Yield each setting without its scope, from the least specific scope to the most specific."""
    output = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = re.findall(r"^(global|install|:env:)\.([\w-]+)='(.*)'$", output, re.MULTILINE)
    for scope in ("global", "install", ":env:"):
        yield from ((key, value) for its, key, value in settings if its == scope)
