"""The options of `imageservice search`."""

from typing import Annotated

import typer

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WORDS",
        help="Words of the camera's name, the labels or the origin's host; WOR* stands for all that begin so.",
    ),
]
Formats = Annotated[
    list[str] | None, typer.Option("--format", metavar="NAME", help="As in jpeg. Repeatable: any.")
]
Colors = Annotated[
    list[str] | None, typer.Option("--color", metavar="NAME", help="As in red. Repeatable: any.")
]
Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", metavar="NAME", help="Exactly this one. Repeatable: any."),
]
OriginHosts = Annotated[
    list[str] | None,
    typer.Option("--origin-host", metavar="HOST", help="Of the URL as submitted. Repeatable: any."),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Repeatable: all of them.")
]
MinWidth = Annotated[int | None, typer.Option(min=0, metavar="PIXELS")]
MaxWidth = Annotated[int | None, typer.Option(min=0, metavar="PIXELS")]
MinHeight = Annotated[int | None, typer.Option(min=0, metavar="PIXELS")]
MaxHeight = Annotated[int | None, typer.Option(min=0, metavar="PIXELS")]
MinBytes = Annotated[int | None, typer.Option(min=0, metavar="BYTES")]
MaxBytes = Annotated[int | None, typer.Option(min=0, metavar="BYTES")]
After = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only those recorded at this time (ISO 8601, UTC) or later."),
]
Before = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only those recorded before this time.")
]
SimilarTo = Annotated[
    str | None,
    typer.Option(
        metavar="HASH|ID", help="Only near-duplicates of this perceptual hash, or of this image."
    ),
]
MaxDistance = Annotated[
    int | None,
    typer.Option(
        metavar="BITS", help="How far near-duplicates may be, 0 to 11 of 64 bits; 6 without it."
    ),
]
Facets = Annotated[
    bool, typer.Option("--facets", help="Count all that are found by format, color, camera, host.")
]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="Show so many at most.")]
