"""`imageservice reindex`: builds the index of search anew. What it does is in consumer/jobs/reindex.py."""

from typing import Annotated

import typer

from cli.commands import jobs

NEEDED = ("REQUESTS_TABLE", "IMAGES_TABLE", "SEARCH_URL")


def reindex(
    *,
    segments: Annotated[
        int | None, typer.Option(metavar="N", help="Segments of the scan (4, at most 16).")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="ROWS", help="Images read a second (5000).")
    ] = None,
    ready_file: jobs.ReadyFile = None,
) -> None:
    """Build the index of search anew from the tables. Searches go on, and see the new one once it is whole.

    Runs `python -m consumer reindex`. Its settings come from the environment or from --ready-file, its exit code is
    this command's: 1 where the search engine refused an image.
    """
    options = {"--segments": segments, "--rate": rate}
    jobs.run("reindex", options, ready_file, needed=NEEDED, role="indexer")
