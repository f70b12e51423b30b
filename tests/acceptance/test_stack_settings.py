"""`stack-settings` writes the files that a kustomize overlay reads."""

import asyncio
import stat
import uuid
from pathlib import Path

import pytest

from cli.local.embedded_aws import REGION, client_environment, without_aws
from harness.aws import RecordingAws
from harness.command import imageservice


@pytest.fixture
def sdk(embedded_aws: RecordingAws) -> dict[str, str]:
    """The SDK's variables of an administrator."""
    return without_aws({}) | client_environment(embedded_aws.aws.endpoint, "administrator")


async def read(path: Path) -> dict[str, str]:
    text = await asyncio.to_thread(path.read_text)
    return dict(line.split("=", 1) for line in text.splitlines())


async def names_in(folder: Path) -> set[str]:
    return await asyncio.to_thread(lambda: {path.name for path in folder.iterdir()})


async def test_the_files_hold_what_pods_need(
    embedded_aws: RecordingAws, sdk: dict[str, str], tmp_path: Path
) -> None:
    """Outputs have the names of settings. The secret is in its own file, for its owner only, and does not change."""
    name = f"s{uuid.uuid4().hex[:10]}"
    stack = await embedded_aws.deploy(name)
    ran = await imageservice("stack-settings", str(tmp_path), "--stack", name, environment=sdk)
    assert ran.code == 0, ran.err
    settings, secret = await read(tmp_path / "stack.env"), await read(tmp_path / "secret.env")
    assert settings["AWS_REGION"] == REGION
    assert settings["REQUESTS_TABLE"] == stack.requests_table
    assert settings["EXPORTER_ROLE_ARN"] == stack.exporter_role_arn
    assert settings["INDEXER_ROLE_ARN"] == stack.indexer_role_arn
    assert settings["SEARCH_QUEUE_URL"] == stack.search_queue_url
    assert (settings["SEARCH_URL"], settings["SEARCH_SIGNED"]) == ("", "false")
    assert secret.keys() == {"CUSTOMER_TAG_KEY"}
    assert len(secret["CUSTOMER_TAG_KEY"]) == 64
    found = await asyncio.to_thread((tmp_path / "secret.env").stat)
    assert stat.S_IMODE(found.st_mode) == 0o600

    assert (
        await imageservice("stack-settings", str(tmp_path), "--stack", name, environment=sdk)
    ).code == 0
    assert await read(tmp_path / "secret.env") == secret
    assert await names_in(tmp_path) == {"stack.env", "secret.env"}


async def test_a_key_in_use_is_replaced_only_with_an_option(
    embedded_aws: RecordingAws, sdk: dict[str, str], tmp_path: Path
) -> None:
    """Another key changes the names of repeated uploads, so nothing is written without --replace-key."""
    name = f"s{uuid.uuid4().hex[:10]}"
    await embedded_aws.deploy(name)
    in_use = tmp_path / "secret.env"
    await asyncio.to_thread(in_use.write_text, "CUSTOMER_TAG_KEY=the-key-in-use\n")
    arguments = ("stack-settings", str(tmp_path), "--stack", name)
    ran = await imageservice(*arguments, environment=sdk)
    assert ran.code == 1
    assert "--replace-key" in ran.err
    assert await names_in(tmp_path) == {"secret.env"}
    assert await read(in_use) == {"CUSTOMER_TAG_KEY": "the-key-in-use"}

    assert (await imageservice(*arguments, "--replace-key", environment=sdk)).code == 0
    assert (await read(in_use))["CUSTOMER_TAG_KEY"] != "the-key-in-use"


async def test_a_missing_stack_is_named(sdk: dict[str, str], tmp_path: Path) -> None:
    """The error is one line, and nothing is written."""
    ran = await imageservice("stack-settings", str(tmp_path), "--stack", "nowhere", environment=sdk)
    assert ran.code == 1
    assert "nowhere" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not await names_in(tmp_path)


async def test_a_missing_folder_is_named(sdk: dict[str, str], tmp_path: Path) -> None:
    """The error comes before any call of AWS."""
    ran = await imageservice("stack-settings", str(tmp_path / "none"), environment=sdk)
    assert ran.code == 2
    assert "no folder" in ran.err
