"""The film that a CVAT file for video speaks of, where it lies there itself and not as pictures of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from polypda.errors import DataError
from polypda.importing.annotations.json_values import text
from polypda.importing.contract import Picture, SourceTree
from polypda.importing.films.film_pixels import rgb, upright
from polypda.importing.films.films import FilmFrame, open_film
from polypda.importing.readers.video import is_video_name

PLACES = ("meta/task/source", "meta/job/source", "meta/source", "meta/task/name")
"""Where a CVAT file names its film."""


class FramesOfFilm:
    """A film's frames by their number. Numbers should rise: then the film is decoded once, from first to last."""

    def __init__(self, tree: SourceTree, path: str) -> None:
        self.path = path
        self.stem = PurePosixPath(path).stem
        self._tree = tree
        self._frames: Iterator[FilmFrame] = iter(())
        self._next = 0
        self._begun = False

    def picture(self, number: int) -> Picture:
        """Frame ``number`` (from 0), upright. Raises: DataError E_VIDEO_FRAME, and what opening a film raises."""
        if not self._begun or number < self._next:
            self._frames, self._next, self._begun = self._decoded(), 0, True
        for frame in self._frames:
            self._next = frame.index + 1
            if frame.index == number:
                return Picture(upright(rgb(frame.picture), frame.quarter_turns))
        what = f"frame {number} is annotated, and the film has {self._next}."
        raise DataError("E_VIDEO_FRAME", what, where=self.path, fix="find the film that was annotated.")

    def _decoded(self) -> Iterator[FilmFrame]:
        with open_film(self._tree.local(self.path), self.path) as film:
            yield from film.frames()


def film_of(tree: SourceTree, path: str, root: Element) -> FramesOfFilm | None:
    """The film that an annotation file is about: the one that it names, else the only one in its folder or below.

    None where there is no such film, and where only every n-th frame was annotated (``frame_filter``): how CVAT then
    counts is not told.
    """
    if text(root.findtext("meta/task/frame_filter")):
        return None
    folder = PurePosixPath(path).parent.as_posix()
    near = [each for each in tree.files() if is_video_name(each) and (folder == "." or each.startswith(f"{folder}/"))]
    named = {PurePosixPath(text(root.findtext(place))).name for place in PLACES}
    found = [each for each in near if PurePosixPath(each).name in named] or near
    return FramesOfFilm(tree, found[0]) if len(found) == 1 else None
