"""Every code in words, without reading the source each time: a table that lies beside this file.

``python docs/make_pages.py`` writes it with docs/errors.md, from the same reading; a test holds it against the source.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from polypda.codes.reading import ANY, Told
from polypda.errors import UsageError

FILE = Path(__file__).with_name("codes.json")
NEAR, NEAREST = 5, 0.6
STATUS_WORDS = {2: "wrong usage", 3: "data or training", 4: "a result that must not be trusted", 130: "interrupted"}


@dataclass(frozen=True)
class Explained:
    """A code in words; see :class:`polypda.codes.reading.Told`."""

    code: str
    told: Told

    @property
    def rooms(self) -> list[str]:
        """Where it comes from: the package's rooms."""
        return list(dict.fromkeys(module.split("/")[1].removesuffix(".py") for module in self.told.modules))

    @property
    def meaning(self) -> str:
        """One line."""
        return self.told.title or (self.told.messages[0] if self.told.messages else "")

    @property
    def example(self) -> str:
        """How it prints, with … for what differs from case to case."""
        message = self.told.messages[0] if self.told.messages else self.told.title
        place = f" {ANY}" if self.code[0] in f"E{ANY}" else ""
        remedy = f"\n  Fix: {self.told.remedies[0]}" if self.told.remedies else ""
        return f"{self.code}{place}: {message}{remedy}"


def every_code() -> dict[str, Explained]:
    """All codes by name."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return {code: Explained(code, Told(**row)) for code, row in rows.items()}


def explained(code: str) -> list[Explained]:
    """What is known of a code, its beginning and its ending: E_IMAGE_TRUNCATED is told by all three.

    Raises: UsageError E_CODE_UNKNOWN with those that are near.
    """
    known, name = every_code(), code.strip().strip("`:.,").upper()
    parts = [known[name]] if name in known else []
    for place in (place for place in range(2, len(name)) if name[place] == "_"):
        start, ending = name[:place], f"{ANY}{name[place:]}"
        if ending in known and (start in known or parts):
            parts += [known[ending]] if parts else [known[ending], known[start]]
            break
    if parts:
        return parts
    near = difflib.get_close_matches(name, known, NEAR, NEAREST)
    near += [one for one in known if len(name) > 3 and name in one and one not in near][: NEAR - len(near)]
    what = f"there is no code '{code}'." + (f" Near: {', '.join(near)}." if near else "")
    raise UsageError("E_CODE_UNKNOWN", what, fix="`polypda explain` lists them.")


def index_text(known: dict[str, Told]) -> str:
    """The table as it lies on the disk, a line for each code."""
    rows = [f"{json.dumps(code)}: {json.dumps(asdict(told), ensure_ascii=False)}" for code, told in known.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"
