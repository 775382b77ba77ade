"""Frames of a film by their number, for annotations whose frames are not there as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from polypda.errors import DataError
from polypda.importing.contract import Picture, SourceTree
from polypda.importing.films.film_pixels import rgb, upright
from polypda.importing.films.films import FilmFrame, open_film
from polypda.importing.readers.video import is_video_name


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


def only_film(tree: SourceTree, path: str, named: set[str]) -> FramesOfFilm | None:
    """The film in the folder of an annotation file or below that has one of these names, else the only one there."""
    folder = PurePosixPath(path).parent.as_posix()
    near = [each for each in tree.files() if is_video_name(each) and (folder == "." or each.startswith(f"{folder}/"))]
    found = [each for each in near if PurePosixPath(each).name in named] or near
    return FramesOfFilm(tree, found[0]) if len(found) == 1 else None
