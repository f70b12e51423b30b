"""`imageservice up`: its checks before the start, the settings of its children, and the ready file."""

import json
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cli import arguments
from cli.arguments import Address
from cli.commands.up import endpoints
from cli.errors import UsageError
from cli.local import ports, processes, ready_file, stack, template
from cli.local.plan import Plan, choose_ports, metrics_ports, parse_network, parse_parameter
from cli.local.ports import PortRequest
from cli.local.ready_file import Running
from cli.local.stack import StackOutputs
from harness.reserved_port import ReservedPort

ENDPOINT = "http://127.0.0.1:4566"
OUTPUTS = StackOutputs(
    requests_table="requests",
    images_table="images",
    queue_url=f"{ENDPOINT}/0/queue",
    failed_requests_queue_url=f"{ENDPOINT}/0/failed-requests",
    dlq_url=f"{ENDPOINT}/0/dlq",
    bucket="bucket",
    topic_arn="arn:aws:sns:us-east-1:0:topic",
    public_base_url=f"{ENDPOINT}/bucket/",
    distribution_id="E1",
    server_role_arn="arn:aws:iam::0:role/server",
    consumer_role_arn="arn:aws:iam::0:role/consumer",
    operator_role_arn="arn:aws:iam::0:role/operator",
    exporter_role_arn="arn:aws:iam::0:role/exporter",
    scaler_role_arn="arn:aws:iam::0:role/scaler",
    customer_tag_key_arn="arn:aws:secretsmanager:us-east-1:0:secret:key",
    search_queue_url=f"{ENDPOINT}/0/search",
)
SEARCH = {"SEARCH_URL": "sqlite:////nowhere/search.db", "SEARCH_SIGNED": "false"}
PLAN = Plan(
    address=Address("127.0.0.1", 50051),
    server_port=9464,
    consumer_ports=(9465, 9466),
    indexer_port=9467,
    networks=("127.0.0.1/32", "10.0.0.0/8"),
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("localhost:1", "localhost", 1),
        ("[::1]:50051", "::1", 50051),
        ("127.0.0.1:0", "127.0.0.1", 0),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    """HOST:PORT, with an IPv6 host in brackets. Formatting an address gives the parsed text."""
    assert arguments.parse_address(text) == Address(host, port)
    assert str(arguments.parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":50051", "a:b", "::1:50051", "a:-1", "a:", "a:²", "http://a:1"],
)
def test_invalid_addresses(text: str) -> None:
    """They are usage errors."""
    with pytest.raises(UsageError, match="not HOST:PORT"):
        arguments.parse_address(text)


def test_networks() -> None:
    """A network is in CIDR notation. A network with host bits set is refused, because it is probably a mistake."""
    assert parse_network("127.0.0.1") == "127.0.0.1/32"
    assert parse_network("fd00::/8") == "fd00::/8"
    for text in ("10.0.0.1/8", "origin.local", "1.2.3.4/33"):
        with pytest.raises(UsageError, match=f"--allow-network {text}: "):
            parse_network(text)


def test_parameters() -> None:
    """The value of a parameter may contain any character, also an equals sign."""
    assert parse_parameter("MaxReceiveCount=3") == ("MaxReceiveCount", "3")
    assert parse_parameter("AlarmTopicArn=a=b") == ("AlarmTopicArn", "a=b")
    for text in ("MaxReceiveCount", "=3", "a b=3"):
        with pytest.raises(UsageError, match="not NAME=VALUE"):
            parse_parameter(text)


def test_a_port_in_use_is_a_usage_error() -> None:
    """The message has the port and its purpose."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot use 127.0.0.1:{port} for metrics: "):
            ports.choose([PortRequest("127.0.0.1", port, "metrics")])


def test_a_shared_port_is_in_use() -> None:
    """A socket with SO_REUSEPORT, as gRPC opens it, occupies the port."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="the gRPC server"):
            choose_ports(Address("127.0.0.1", taken.getsockname()[1]), 1, 0)


def test_chosen_ports_are_distinct() -> None:
    """Port 0 stands for any free port."""
    address, metrics = choose_ports(Address("127.0.0.1", 0), 8, 0)
    assert len({address.port, *metrics, 0}) == 12


def test_metrics_ports_are_consecutive() -> None:
    """The server gets the given port; consumers and indexer get the next ones. With 0 all ports are free ports."""
    assert metrics_ports(9464, 2) == [9464, 9465, 9466, 9467]
    assert metrics_ports(0, 2) == [0, 0, 0, 0]


def test_a_metrics_port_equal_to_the_server_port() -> None:
    """A conflict between two of our own ports is a usage error before the start."""
    held = ReservedPort()
    with pytest.raises(UsageError, match=f"127.0.0.1:{held.number} for metrics"):
        choose_ports(Address("127.0.0.1", held.number), 0, held.number)


def test_settings_of_the_children() -> None:
    """Server, consumers and indexer each get their ports and the access key of their role."""
    settings = processes.settings(PLAN, ENDPOINT, OUTPUTS, SEARCH)
    server, *consumers, indexer = processes.workers(
        PLAN, ENDPOINT, {"RECEIVE_WAIT_S": "20", **settings}
    )
    assert server.environment["GRPC_ADDRESS"] == "127.0.0.1:50051"
    assert server.environment["METRICS_PORT"] == "9464"
    assert server.environment["AWS_ACCESS_KEY_ID"] == "server"
    assert [child.environment["METRICS_PORT"] for child in consumers] == ["9465", "9466"]
    for child in consumers:
        assert child.environment["AWS_ACCESS_KEY_ID"] == "consumer"
        assert child.environment["AWS_ENDPOINT_URL"] == ENDPOINT
        assert child.environment["ALLOWED_NETWORKS"] == "127.0.0.1/32,10.0.0.0/8"
        assert child.environment["RECEIVE_WAIT_S"] == "20"
        assert child.environment["QUEUE_URL"] == OUTPUTS.queue_url
        assert child.environment["CUSTOMER_TAG_KEY"] == PLAN.customer_tag_key
    assert indexer.environment["METRICS_PORT"] == "9467"
    assert indexer.environment["AWS_ACCESS_KEY_ID"] == "indexer"
    for child in (server, indexer):
        assert child.environment["SEARCH_URL"] == SEARCH["SEARCH_URL"]
    urls = [f"http://127.0.0.1:{port}/metrics" for port in (9464, 9465, 9466, 9467)]
    assert list(processes.metrics(PLAN, settings)) == urls


def test_a_stack_without_search_has_no_indexer() -> None:
    """A stack with Search=off has no search queue."""
    settings = processes.settings(PLAN, ENDPOINT, replace(OUTPUTS, search_queue_url=""), SEARCH)
    children = processes.workers(PLAN, ENDPOINT, settings)
    assert [child.role for child in children] == ["server", "consumer", "consumer"]
    urls = [f"http://127.0.0.1:{port}/metrics" for port in (9464, 9465, 9466)]
    assert list(processes.metrics(PLAN, settings)) == urls


def test_the_customer_tag_key_of_a_plan_is_secret() -> None:
    """Each plan has its own key, and repr() does not show it."""
    other = Plan(address=PLAN.address, server_port=1, consumer_ports=())
    assert other.customer_tag_key != PLAN.customer_tag_key
    assert PLAN.customer_tag_key not in repr(PLAN)


def test_ready_file(tmp_path: Path) -> None:
    """It has what programs need, only its owner can read it, and no temporary file is left."""
    path = tmp_path / "ready.json"
    urls = ("http://127.0.0.1:9464/metrics", "http://127.0.0.1:9465/metrics")
    running = Running("127.0.0.1:1", ENDPOINT, urls, {"consumer": [1, 2]}, {"A": "b"})
    ready_file.write(path, running)
    ready_file.write(path, running)
    assert json.loads(path.read_text()) == {
        "address": "127.0.0.1:1",
        "aws_endpoint": ENDPOINT,
        "metrics": list(urls),
        "pids": {"consumer": [1, 2]},
        "environment": {"A": "b"},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    ready_file.remove(path)
    ready_file.remove(path)
    assert not path.exists()


def test_a_ready_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A failed rename leaves no temporary file."""
    path = tmp_path / "ready.json"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        ready_file.write(path, Running("", "", (), {}, {}))
    assert list(tmp_path.iterdir()) == [path]


def test_ready_file_environment(tmp_path: Path) -> None:
    """A command that joins the system reads its settings from the file. A file of another kind is refused."""
    path = tmp_path / "ready.json"
    ready_file.write(path, Running("", "", (), {}, {"QUEUE_URL": "q"}))
    assert ready_file.read_environment(path) == {"QUEUE_URL": "q"}
    for other in ("no json", "[]", '{"environment": 1}'):
        path.write_text(other)
        with pytest.raises(UsageError, match="not a file that"):
            ready_file.read_environment(path)


def test_parameters_of_the_template() -> None:
    """Our parser finds the same parameters and patterns in core/stack.yaml as a real YAML parser."""
    text = stack.TEMPLATE.read_text()
    section = text[text.index("Parameters:") : text.index("Rules:")]
    expected = {
        name: facts.get("AllowedPattern", "")
        for name, facts in yaml.safe_load(section)["Parameters"].items()
    }
    parameters = template.parameters(text)
    assert {name: parameter.pattern for name, parameter in parameters.items()} == expected


def test_endpoints_name_the_process_of_each_metrics_url() -> None:
    """Also if an indexer runs."""
    running = Running(
        "a:1", ENDPOINT, ("http://s", "http://c"), {}, {"PUBLIC_BASE_URL": "http://p"}
    )
    assert dict(endpoints(running))["server's metrics"] == "http://s"
    assert dict(endpoints(running))["consumer 1's metrics"] == "http://c"
    with_indexer = replace(running, metrics=(*running.metrics, "http://i"), pids={"indexer": 1})
    assert dict(endpoints(with_indexer))["consumer 1's metrics"] == "http://c"
    assert dict(endpoints(with_indexer))["indexer's metrics"] == "http://i"
