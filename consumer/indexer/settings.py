"""Settings of the processes that write the index."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from core.search.settings import SearchSettings
from core.settings import QueueUrl, TableSettings


class ReindexSettings(SearchSettings, TableSettings):
    # A default is not validated otherwise, and unset is what SEARCH_URL must not be here.
    model_config = SettingsConfigDict(validate_default=True)

    @field_validator("search_url")
    @classmethod
    def _is_set(cls, value: SecretStr | None) -> SecretStr:
        if value is None:
            raise ValueError("it is needed here: the search engine that keeps the index")
        return value


class IndexerSettings(ReindexSettings):
    search_queue_url: QueueUrl = Field(
        description="SQS queue that is told of each COMPLETED request (stack output SearchQueueUrl).",
    )
    receive_wait_s: int = Field(
        5, ge=1, le=20, description="Long poll of one receive, in seconds. A drain waits for it."
    )
    drain_grace_s: float = Field(
        25,
        ge=0,
        description="Seconds after SIGTERM in which the batch under way may finish; the events of one that does not "
        "come back by themselves.",
    )
