"""How this machine's pip reaches its index, in the form that a build takes as secrets."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# What matters inside a build: a folder of wheels on this machine, for one, does not.
_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")


def build_secrets(folder: Path) -> list[str]:
    """Write pip.conf into `folder`; answer the build's options, for the certificate as well if there is one."""
    settings = dict(_settings())
    lines = [f"{key} = {value}" for key, value in settings.items() if key in _KEPT]
    options = ["--secret", f"id=pip.conf,src={folder / 'pip.conf'}"]
    if "cert" in settings:
        lines.append("cert = /run/secrets/pip.pem")
        options += ["--secret", f"id=pip.pem,src={settings['cert']}"]
    path = folder / "pip.conf"
    path.touch(mode=0o600)
    path.write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
    return options


def _settings() -> Iterator[tuple[str, str]]:
    """Each setting by its bare name, from the least specific place to the most."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    by_place = re.findall(r"^(global|install|:env:)\.([\w-]+)='(.*)'$", told, re.MULTILINE)
    for place in ("global", "install", ":env:"):
        yield from ((key, value) for its, key, value in by_place if its == place)
