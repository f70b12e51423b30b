"""Settings of the programs that write the index."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from core.search.settings import SearchSettings
from core.settings import QueueUrl, TableSettings


class ReindexSettings(SearchSettings, TableSettings):
    # pydantic does not validate defaults otherwise, and SEARCH_URL has no valid default here.
    model_config = SettingsConfigDict(validate_default=True)

    @field_validator("search_url")
    @classmethod
    def _is_set(cls, value: SecretStr | None) -> SecretStr:
        if value is None:
            raise ValueError("it is required: the URL of the search engine")
        return value


class IndexerSettings(ReindexSettings):
    search_queue_url: QueueUrl = Field(
        description="SQS queue that receives an event for each COMPLETED request (stack output SearchQueueUrl)."
    )
    receive_wait_s: int = Field(
        5, ge=1, le=20, description="Long poll of one receive, in seconds. A drain waits for it."
    )
    drain_grace_s: float = Field(
        25,
        ge=0,
        description="Seconds after SIGTERM in which the batch in progress may finish. SQS delivers the events of an "
        "unfinished batch again.",
    )
