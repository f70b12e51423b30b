"""The settings of programs that read or write the search index."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from core.model.origin_url import has_host

SQLITE = "sqlite:///"
_OPENSEARCH = ("https://", "http://")


class SearchSettings(BaseSettings):
    search_url: SecretStr | None = Field(
        None,
        description="Search engine of images: the https:// or http:// URL of an OpenSearch; or, for development, "
        "sqlite:/// and an absolute path. Without it SearchImages is UNIMPLEMENTED, and an indexer does not start.",
    )
    search_index: str = Field(
        "imageservice-images",
        pattern=r"^[a-z][a-z0-9-]{0,79}$",
        description="Alias of the search index; one OpenSearch may serve several installations.",
    )
    search_signed: bool = Field(
        False,
        description="Sign calls to OpenSearch with the process's AWS credentials (SigV4), as an Amazon OpenSearch "
        "Service domain requires.",
    )
    search_timeout_s: float = Field(
        2.0,
        gt=0,
        le=60,
        description="Timeout of a search in seconds; a slower engine counts as down. Writes may take ten times "
        "as long.",
    )

    @field_validator("search_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        # A stack without a search domain has no URL, and the manifests cannot leave a variable out.
        return None if value == "" else value

    @field_validator("search_url")
    @classmethod
    def _names_an_engine(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        if url.startswith(SQLITE):
            if not url.removeprefix(SQLITE).startswith("/"):
                raise ValueError(
                    "sqlite:/// must be followed by an absolute path, as in sqlite:////var/search.db"
                )
            return value
        if not url.startswith(_OPENSEARCH):
            raise ValueError("it must begin with https://, http:// or sqlite:///")
        if not has_host(url):
            raise ValueError(
                "it must name a host, and a port if that is not the scheme's default; "
                "name and password are percent-encoded"
            )
        return value

    @property
    def search_engine(self) -> Literal["opensearch", "sqlite"]:
        # SQLite is for development and tests: one file on one machine.
        return "sqlite" if self.search_location.startswith(SQLITE) else "opensearch"

    @property
    def search_location(self) -> str:
        """SEARCH_URL, which must be set."""
        if self.search_url is None:
            raise ValueError("SEARCH_URL is not set")
        return self.search_url.get_secret_value()
