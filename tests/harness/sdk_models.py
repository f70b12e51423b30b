"""Shares the AWS SDK's service models between all sessions of a process.

The SDK parses them for each session, which is two thirds of the CPU that opening the clients takes. A process of the
system has one session; a test run has one for each test and each fork.
"""

import functools

import botocore.session

SERVICES = ("dynamodb", "sqs", "s3", "sns", "cloudwatch", "cloudformation")


def share() -> None:
    """Parse each model once in this process from now on."""
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)


def load() -> None:
    """Parse the models of the services that the system uses, for processes that are forked later."""
    session = botocore.session.get_session()
    for service in SERVICES:
        session.create_client(
            service,
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
