"""`imageservice stack-settings`: write the settings of a deployed stack as files for kustomize."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import CommandFailed, UsageError
from cli.local.stack import StackOutputs
from cli.output import text


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A file of NAME=value lines, as kustomize's generators read them. `mode` is its permissions."""

    path: Path
    values: Mapping[str, str]
    mode: int


def read(path: Path) -> dict[str, str]:
    """Read the values of a file, without comments and empty lines. Raises OSError."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def write(*files: EnvFile) -> None:
    """Write all files or none. Raises OSError, and CommandFailed for a value that does not fit on one line.

    Each file is written under a temporary name and then moved, so that no process reads an incomplete file or a
    secret in a file that others can open.
    """
    with ExitStack() as unmoved:
        fresh = [_made(file, unmoved) for file in files]
        for made, file in zip(fresh, files, strict=True):
            made.replace(file.path)


def _made(file: EnvFile, unmoved: ExitStack) -> Path:
    content = "".join(f"{name}={_line(name, value)}\n" for name, value in file.values.items())
    # The temporary name is ignored by git, like the final name, and the file is readable by its owner only.
    handle, name = tempfile.mkstemp(prefix=".", suffix=".env", dir=file.path.parent)
    made = Path(name)
    unmoved.callback(made.unlink, missing_ok=True)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(content)
    made.chmod(file.mode)
    return made


def _line(name: str, value: str) -> str:
    # A line break would start another variable, and kustomize takes a missing value from its own environment.
    if not value.isprintable() or value != value.strip():
        raise CommandFailed(f"{name} has a line break, a control character or space at an end")
    return value


SETTINGS_FILE = "stack.env"
SECRET_FILE = "secret.env"  # noqa: S105  a file's name


def stack_settings(
    folder: Annotated[
        Path, typer.Argument(help="The overlay that receives the files, such as k8s/overlays/eks.")
    ],
    *,
    stack: Annotated[
        str, typer.Option(metavar="NAME", help="The CloudFormation stack.")
    ] = "imageservice",
    replace_key: Annotated[
        bool,
        typer.Option(
            "--replace-key",
            help="Replace the CUSTOMER_TAG_KEY in secret.env by that of the stack; new images get other names.",
        ),
    ] = False,
) -> None:
    """Write the settings that pods need from a deployed stack: stack.env, and secret.env for your eyes only.

    Region and credentials come from the AWS SDK's own variables and files. Run it again after each change of the
    stack; it changes nothing on AWS.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    try:
        settings, secret = asyncio.run(_read(stack))
    except (BotoCoreError, ClientError) as error:
        raise CommandFailed(f"stack {stack}: {error}") from error
    try:
        if not replace_key:
            _refuse_another_key(folder / SECRET_FILE, secret)
        write(
            EnvFile(folder / SECRET_FILE, secret, mode=0o600),
            EnvFile(folder / SETTINGS_FILE, settings, mode=0o644),
        )
    except OSError as error:
        raise CommandFailed(str(error)) from error
    text.print_message(sys.stderr, f"wrote {folder / SETTINGS_FILE} and {folder / SECRET_FILE}")


def _refuse_another_key(path: Path, secret: Mapping[str, str]) -> None:
    """Raise CommandFailed if another key is in use. With a new key, repeated uploads get other names."""
    if path.exists() and read(path) != secret:
        raise CommandFailed(
            f"{path} has another CUSTOMER_TAG_KEY than the stack; put yours into the stack "
            "(aws secretsmanager put-secret-value), or give --replace-key"
        )


async def _read(stack: str) -> tuple[dict[str, str], dict[str, str]]:
    session = get_session()
    async with session.create_client("cloudformation") as client:
        described = await client.describe_stacks(StackName=stack)
        region = client.meta.region_name
    try:
        outputs = StackOutputs.parse(described["Stacks"][0].get("Outputs", []))
    except KeyError as missing:
        raise CommandFailed(
            f"stack {stack} has no output {missing}: another version's core/stack.yaml, or not ready"
        ) from None
    settings = {
        "AWS_REGION": region,
        **outputs.environment(),
        "SERVER_ROLE_ARN": outputs.server_role_arn,
        "CONSUMER_ROLE_ARN": outputs.consumer_role_arn,
        "OPERATOR_ROLE_ARN": outputs.operator_role_arn,
        "EXPORTER_ROLE_ARN": outputs.exporter_role_arn,
        "INDEXER_ROLE_ARN": outputs.indexer_role_arn,
        "SCALER_ROLE_ARN": outputs.scaler_role_arn,
    }
    return settings, {"CUSTOMER_TAG_KEY": await _secret(session, outputs.customer_tag_key_arn)}


async def _secret(session: AioSession, arn: str) -> str:
    async with session.create_client("secretsmanager") as client:
        value = await client.get_secret_value(SecretId=arn)
    if "SecretString" not in value:
        raise CommandFailed(f"{arn} is no text")
    return value["SecretString"]
