"""`imageservice stack-settings`: what a cluster needs to know of a deployed stack, as files for kustomize."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from cli import prose
from cli.errors import CommandFailed, UsageFault
from cli.local.stack import StackOutputs

SETTINGS_FILE = "stack.env"
SECRET_FILE = "secret.env"  # noqa: S105  a file's name


def stack_settings(
    folder: Annotated[
        Path, typer.Argument(help="The overlay that gets the files, such as k8s/overlays/eks.")
    ],
    *,
    stack: Annotated[
        str, typer.Option(metavar="NAME", help="The CloudFormation stack.")
    ] = "imageservice",
) -> None:
    """Write what pods need to know of a deployed stack: stack.env, and the secret.env that is for your eyes only.

    Region and credentials come from the AWS SDK's own variables and files. Run it again after each change of the
    stack; it changes nothing on AWS.
    """
    if not folder.is_dir():
        raise UsageFault(f"{folder} is no folder")
    try:
        settings, secret = asyncio.run(_read(stack))
    except (BotoCoreError, ClientError) as error:
        raise CommandFailed(f"stack {stack}: {error}") from error
    try:
        _write(folder / SETTINGS_FILE, settings, mode=0o644)
        _write(folder / SECRET_FILE, secret, mode=0o600)
    except OSError as error:
        raise CommandFailed(str(error)) from error
    prose.say(sys.stderr, f"wrote {folder / SETTINGS_FILE} and {folder / SECRET_FILE}")


async def _read(stack: str) -> tuple[dict[str, str], dict[str, str]]:
    session = get_session()
    async with session.create_client("cloudformation") as client:
        described = await client.describe_stacks(StackName=stack)
        region = client.meta.region_name
    try:
        outputs = StackOutputs.parse(described["Stacks"][0].get("Outputs", []))
    except KeyError as missing:
        raise CommandFailed(
            f"stack {stack} has no output {missing}: it is not made of this version's core/stack.yaml, or not ready"
        ) from None
    settings = {
        "AWS_REGION": region,
        **outputs.environment(),
        "SERVER_ROLE_ARN": outputs.server_role_arn,
        "CONSUMER_ROLE_ARN": outputs.consumer_role_arn,
        "OPERATOR_ROLE_ARN": outputs.operator_role_arn,
        "EXPORTER_ROLE_ARN": outputs.exporter_role_arn,
        "SCALER_ROLE_ARN": outputs.scaler_role_arn,
    }
    return settings, {"CUSTOMER_TAG_KEY": await _secret(session, outputs.customer_tag_key_arn)}


async def _secret(session: AioSession, arn: str) -> str:
    async with session.create_client("secretsmanager") as client:
        value = await client.get_secret_value(SecretId=arn)
    return value["SecretString"]


def _write(path: Path, values: Mapping[str, str], *, mode: int) -> None:
    # Made anew beside and moved there: nobody reads half of it, nor a secret in a file that was open to others.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{name}={value}\n" for name, value in values.items()))
    fresh.replace(path)
