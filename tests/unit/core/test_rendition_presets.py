"""The file of presets is validated as a whole, and each fault is reported with its place."""

from pathlib import Path

import pytest

from consumer.imaging.formats import FORMATS
from core.model.rendition import RenditionPreset, wanted_renditions
from core.rendition_presets import PresetFile, PresetTable
from core.settings import load
from server.settings import ServerSettings

REQUIRED = {
    "REQUESTS_TABLE": "requests",
    "IMAGES_TABLE": "images",
    "QUEUE_URL": "http://127.0.0.1/queue",
    "PUBLIC_BASE_URL": "http://127.0.0.1/",
}
THUMBNAIL = {"longest_side": 256, "format": "WEBP"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def use_file(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    file = folder / "renditions.toml"
    file.write_text(text)
    monkeypatch.setenv("RENDITIONS_FILE", str(file))


def test_presets_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A longest side is a square box. Quality and fit have defaults."""
    use_file(
        monkeypatch,
        tmp_path,
        """
        [presets.thumbnail]
        longest_side = 256
        format = "WEBP"
        default_for = ["HEIC", "TIFF"]
        [presets.card-2]
        width = 640
        height = 360
        fit = "cover"
        format = "JPEG"
        quality = 75
        """,
    )
    assert load(ServerSettings).presets == {
        "thumbnail": RenditionPreset(256, 256, "contain", "WEBP", 80, ("HEIC", "TIFF")),
        "card-2": RenditionPreset(640, 360, "cover", "JPEG", 75),
    }


def test_without_a_file_there_are_no_presets() -> None:
    assert load(ServerSettings).presets == {}


def test_every_fault_is_reported_with_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use_file(
        monkeypatch,
        tmp_path,
        """
        [presets.Big]
        longest_side = 256
        format = "WEBP"
        [presets.a]
        longest_side = 5000
        format = "GIF"
        colour = "red"
        [presets.b]
        width = 10
        format = "JPEG"
        [presets.c]
        longest_side = 10
        fit = "cover"
        format = "JPEG"
        [presets.d]
        longest_side = 10
        format = "JPEG"
        quality = 0
        default_for = ["TIF"]
        """,
    )
    with pytest.raises(SystemExit):
        load(ServerSettings)
    places = [line.split(": ")[:2] for line in capsys.readouterr().err.splitlines()]
    assert places == [
        ["RENDITIONS_FILE", place]
        for place in (
            *("presets.Big.[key]", "presets.a.longest_side", "presets.a.format"),
            *("presets.a.colour", "presets.b", "presets.c"),
            *("presets.d.quality", "presets.d.default_for.0"),
        )
    ]


@pytest.mark.parametrize("text", [None, "presets = [", "other = 1"])
def test_a_file_that_cannot_be_used_ends_the_start(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
) -> None:
    """It is missing, is no TOML, or has something else."""
    use_file(monkeypatch, tmp_path, text or "")
    if text is None:
        (tmp_path / "renditions.toml").unlink()
    with pytest.raises(SystemExit):
        load(ServerSettings)
    assert capsys.readouterr().err.startswith("RENDITIONS_FILE: ")


def test_at_most_16_presets() -> None:
    names = [f"p{number}" for number in range(17)]
    PresetFile.model_validate({"presets": dict.fromkeys(names[:16], THUMBNAIL)})
    with pytest.raises(ValueError, match="at most 16"):
        PresetFile.model_validate({"presets": dict.fromkeys(names, THUMBNAIL)})


def test_a_default_can_be_set_for_every_accepted_format() -> None:
    for each in FORMATS:
        PresetTable.model_validate({**THUMBNAIL, "default_for": [each.name]})


def test_the_wanted_renditions_are_the_requested_ones_and_the_defaults() -> None:
    """Each once; a name that is not known here is left out."""
    plain = RenditionPreset(256, 256, "contain", "WEBP", 80)
    default = RenditionPreset(99, 99, "contain", "WEBP", 80, ("TIFF",))
    presets = {"plain": plain, "default": default}
    assert wanted_renditions(presets, (), "JPEG") == ()
    assert wanted_renditions(presets, (), "TIFF") == ("default",)
    assert wanted_renditions(presets, ("plain", "gone"), "TIFF") == ("plain", "default")
    assert wanted_renditions(presets, ("default",), "TIFF") == ("default",)


def test_the_definition_changes_with_the_bytes_only() -> None:
    one = RenditionPreset(256, 256, "contain", "WEBP", 80)
    assert one.definition == RenditionPreset(256, 256, "contain", "WEBP", 80, ("TIFF",)).definition
    assert one.definition != RenditionPreset(256, 256, "contain", "WEBP", 81).definition
