"""The environment of a pod, compared with the settings of its program."""

import argparse
import base64
import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from pydantic import ValidationError

import consumer.__main__
import server.__main__
from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, pod_templates
from consumer.command import Command
from consumer.worker import app as worker
from core.settings import ProcessSettings, former_variable
from server.settings import ServerSettings

STACK = "imageservice-stack"
REGION = "AWS_DEFAULT_REGION"


@dataclass(frozen=True, slots=True)
class Process:
    """A command of the image and the settings that it reads."""

    settings: type[ProcessSettings]
    parse: Callable[[Sequence[str]], argparse.Namespace]

    @property
    def variables(self) -> set[str]:
        """Names of the settings, including deprecated ones."""
        fields = self.settings.model_fields
        former = {former_variable(field) for field in fields.values()}
        return {name.upper() for name in fields} | {name for name in former if name is not None}

    def accepts(self, arguments: Sequence[str]) -> bool:
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                self.parse(arguments)
        except SystemExit:
            return False
        return True


def process_of(arguments: Sequence[str]) -> Process | None:
    """Return the program that these arguments of the image run, or None if there is no such command."""
    match list(arguments):
        case ["server", *_]:
            return Process(ServerSettings, lambda given: server.__main__._parse(list(given)))
        case ["consumer", *given]:
            return Process(_command(given).settings, consumer.__main__.parser().parse_args)
    return None


def _command(arguments: Sequence[str]) -> Command[Any]:
    for command in consumer.__main__.COMMANDS:
        if arguments[:1] and arguments[0] in (command.name, *command.aliases):
            return command
    return worker.COMMAND


def sdk_variables() -> set[str]:
    """Return the variables that the AWS SDK reads: its settings and credentials."""
    names = [row[1] or [] for row in BOTOCORE_DEFAUT_SESSION_VARIABLES.values()]
    flat = {name for each in names for name in ([each] if isinstance(each, str) else each)}
    return flat | {
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    }


def faults(objects: Sequence[Object]) -> list[str]:
    pods = list(pod_templates(objects))
    return [
        *(f"{pod.owner}: {fault}" for pod in pods for fault in _pod_faults(pod, objects)),
        *(f"{name} of {STACK}: no program reads it" for name in sorted(_unread(pods, objects))),
    ]


def _pod_faults(pod: PodTemplate, objects: Iterable[Object]) -> Iterator[str]:
    arguments = list(pod.container["args"])
    process = process_of(arguments)
    if process is None or not process.accepts(arguments[1:]):
        yield f"no such command: {' '.join(arguments)}"
        return
    origins = environment(pod, objects)
    if REGION not in origins:
        yield f"{REGION} is missing, and the SDK reads the region only from it"
    # Every pod gets all outputs of the stack, and no program reads all of them.
    own = {name for name, (origin, _) in origins.items() if not origin.startswith(STACK)}
    for name in sorted(own - process.variables - sdk_variables()):
        yield f"{name} is not a setting of the program or the SDK"
    try:
        settings_of(pod, objects)
    except ValidationError as error:
        for fault in error.errors():
            yield f"{'_'.join(map(str, fault['loc'])).upper() or 'SETTINGS'}: {fault['msg']}"


def _unread(pods: Iterable[PodTemplate], objects: Iterable[Object]) -> set[str]:
    """Return the names in the stack's ConfigMap that no program reads."""
    processes = [process_of(pod.container["args"]) for pod in pods]
    read = {name for process in processes if process for name in process.variables}
    stacks = [each for each in objects if each["metadata"]["name"].startswith(STACK)]
    names = {name for each in stacks for name in each["data"]} - read - sdk_variables()
    # Replacements read these, for the trigger of the scaler and the annotations of IRSA.
    return {name for name in names if name != "AWS_REGION" and not name.endswith("_ROLE_ARN")}


def environment(pod: PodTemplate, objects: Iterable[Object]) -> dict[str, tuple[str, str]]:
    """Return the source (a ConfigMap, a Secret or "") and the value of each existing variable."""
    data = {each["metadata"]["name"]: _values(each) for each in objects if "data" in each}
    variables: dict[str, tuple[str, str]] = {}
    for source in pod.container.get("envFrom", []):
        (reference,) = source.values()
        for name, value in data.get(reference["name"], {}).items():
            variables[name] = (reference["name"], value)
    for variable in pod.container.get("env", []):
        if "value" in variable:
            variables[variable["name"]] = ("", variable["value"])
        for reference in variable.get("valueFrom", {}).values():
            if (found := data.get(reference["name"], {}).get(reference["key"])) is not None:
                variables[variable["name"]] = ("", found)
    return variables


def _values(each: Object) -> dict[str, str]:
    data: dict[str, str] = each["data"]
    if each["kind"] != "Secret":
        return data
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def settings_of(pod: PodTemplate, objects: Iterable[Object]) -> ProcessSettings:
    """Return the settings as the program reads them. Raises ValidationError."""
    process = process_of(pod.container["args"])
    assert process is not None
    variables = environment(pod, objects)
    given: dict[str, Any] = {
        name.lower(): variables[name][1] for name in process.variables & variables.keys()
    }
    return process.settings(**given)
