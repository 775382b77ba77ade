"""What a cohort's manifest may say.

A manifest keeps apart what is declared, what was verified and what nobody knows: an unknown stays null.
"""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from polypda.cohorts.image_files import stays_inside
from polypda.cohorts.phantom_look import FieldOfViewShape, PhantomLook, Strict

Count = Annotated[int, Field(ge=0)]
Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
"""Width and height, in pixels."""


class Annotation(StrEnum):
    """What experts drew on the frames."""

    MASK = "mask"
    BOX = "box"
    NONE = "none"


class MaskColours(StrEnum):
    """What the colours of masks stand for: one of them is the polyp, or any (classes of lesions)."""

    ONE = "one"
    ANY = "any"


class Media(StrEnum):
    """What is released: single frames or videos."""

    FRAMES = "frames"
    VIDEO = "video"


class AccessLevel(StrEnum):
    """Who can have the data."""

    PRIVATE = "private"
    PUBLIC = "public"
    ON_REQUEST = "on-request"


class FactStatus(StrEnum):
    """How far a statement can be relied on."""

    DECLARED = "declared"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    CONTRADICTED = "contradicted"


class Unmasked(StrEnum):
    """What a frame without a mask file is, by its layout."""

    MISSING = "missing"  # an error: the layout promises a mask for each frame
    NEGATIVE = "negative"  # declared free of polyps


class Title(Strict):
    """The cohort's name in English and, where it has one, in its own language."""

    en: str
    local: str | None = None


class Scope(Strict):
    """The endoscopy system; modes are imaging modes such as WL, NBI, FICE."""

    vendor: str | None = None
    processor: str | None = None
    endoscope: str | None = None
    modes: tuple[str, ...] | None = None


class Extent(Strict):
    """How much there is of a cohort. Sizes are (width, height) in pixels; null is unknown."""

    frames: Count | None = None
    polyp_frames: Count | None = None
    negative_frames: Count | None = None
    videos: Count | None = None
    sequences: Count | None = None
    patients: Count | None = None
    polyps: Count | None = None
    cases: Count | None = None
    studies: Count | None = None
    resolutions: tuple[Size, ...] = ()
    resolution_range: tuple[Size, Size] | None = None
    note: str | None = None


class Access(Strict):
    """Who can have the data, how, and under which terms."""

    level: AccessLevel
    how: str
    licence: str | None = None
    citation: str | None = None


class Fact(Strict):
    """One statement about a cohort with its source."""

    statement: str
    source: str
    status: FactStatus


class Overlap(Strict):
    """Another data set that shares frames with this cohort; ``cohort`` is its id where it has a manifest."""

    data_set: str
    cohort: str | None = None
    what: str
    status: FactStatus


class Exclusion(Strict):
    """A frame that is left out, and why."""

    frame: str
    why: str


LONGEST_PATTERN = 300
MOST_DEEP = 2
"""How often a glob may go through all folders below."""


def _compiles(pattern: str) -> str:
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"longer than {LONGEST_PATTERN} characters")
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from error
    if "frame" not in compiled.groupindex:
        raise ValueError("has no group (?P<frame>…)")
    unknown = sorted(set(compiled.groupindex) - {"frame", "patient", "sequence", "split"})
    if unknown:
        raise ValueError(f"group '{unknown[0]}' is none of frame, patient, sequence, split")
    return pattern


def _inside(pattern: str) -> str:
    parts = pattern.split("/")
    if (pattern and not stays_inside(pattern)) or "\\" in pattern:
        raise ValueError("must be a relative path that stays inside the data root")
    if not pattern.strip() or not pattern.isprintable() or len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"must be 1 to {LONGEST_PATTERN} printable characters")
    if any("**" in part and part != "**" for part in parts) or parts.count("**") > MOST_DEEP:
        raise ValueError(f"may hold ** as a whole part of the path only, and {MOST_DEEP} times at most")
    return pattern


FramePattern = Annotated[str, AfterValidator(_compiles)]
"""Regular expression that the whole path under the layout's folder, without its suffix, must match."""
InsidePath = Annotated[str, AfterValidator(_inside)]
ANY_STEM = r"(?:.*/)?(?P<frame>[^/]+)"


class MaskFiles(Strict):
    """Where masks lie, and how a mask's path tells its frame."""

    files: tuple[InsidePath, ...] = Field(min_length=1)
    frame: FramePattern = ANY_STEM


class Layout(Strict):
    """One way in which a cohort lies on disk.

    folders: candidates relative to the data root; the first that holds images is taken.
    images, masks.files: globs relative to the folder; only image files count.
    frame: pattern with the group ``frame`` and, where names tell them, ``patient``, ``sequence``, ``split``.
    sequence_ranges: sequence → first and last frame number, for releases with numbered frames and a table.
    scenes: groups of frames that show one scene though the release names no sequence; they share one part of the split.
    frames, resolutions: what this form of the cohort holds, where it differs from the cohort as declared.
    resized: frames were reduced by the redistributor, so declared resolutions do not apply.
    verified: False for a layout that was written from descriptions and never read.
    """

    name: str
    verified: bool
    folders: tuple[InsidePath, ...] = Field(min_length=1)
    images: tuple[InsidePath, ...] = Field(min_length=1)
    frame: FramePattern = ANY_STEM
    masks: MaskFiles | None = None
    unmasked: Unmasked = Unmasked.MISSING
    sequence_ranges: dict[str, tuple[int, int]] | None = None
    scenes: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    frames: Count | None = None
    resolutions: tuple[Size, ...] = ()
    resized: bool = False
    note: str | None = None

    @field_validator("sequence_ranges")
    @classmethod
    def _ranges_are_apart(cls, ranges: dict[str, tuple[int, int]] | None) -> dict[str, tuple[int, int]] | None:
        ordered = sorted((ranges or {}).items(), key=lambda item: item[1])
        if backward := next((name for name, (first, last) in ordered if first > last), None):
            raise ValueError(f"sequence {backward} ends before it begins")
        for (name, (_, last)), (following, (first, _)) in pairwise(ordered):
            if first <= last:
                raise ValueError(f"sequences {name} and {following} overlap")
        return ranges

    @field_validator("scenes")
    @classmethod
    def _scenes_are_apart(cls, scenes: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        frames = [frame for scene in scenes for frame in scene]
        if any(len(scene) < 2 for scene in scenes) or len(set(frames)) < len(frames):
            raise ValueError("a scene holds two frames or more, and a frame belongs to one scene only")
        return scenes


class Manifest(Strict):
    """Everything that is known of a cohort, as its YAML file says it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Title
    centre: str | None
    city: str | None
    country: str | None
    scope: Scope
    declared: Extent
    verified: Extent
    pixel_aspect: Annotated[float, Field(gt=0, le=10)] | None = None
    interlaced: bool | None = None
    field_of_view: FieldOfViewShape | None = None
    annotation: Annotation
    mask_colours: MaskColours = MaskColours.ONE
    media: Media
    access: Access
    layouts: tuple[Layout, ...] = ()
    facts: tuple[Fact, ...] = Field(min_length=1)
    overlaps: tuple[Overlap, ...] = ()
    phantom: PhantomLook | None = None

    @model_validator(mode="after")
    def _layouts_fit_annotation(self) -> Manifest:
        for layout in self.layouts:
            if self.annotation is Annotation.MASK and layout.masks is None and layout.unmasked is Unmasked.MISSING:
                raise ValueError(f"layout '{layout.name}' of a mask cohort names neither masks nor unmasked: negative")
        return self

    @property
    def any_colour(self) -> bool:
        """Whether every colour of a mask is a polyp."""
        return self.mask_colours is MaskColours.ANY

    def hash(self) -> str:
        """SHA-256 (hex) of what the manifest says; comments and the order of keys do not count."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()
