"""Every command on planted material: what of names, numbers and places is found afterwards, what asked for the network.

    python benchmarks/privacy.py [--out FOLDER]

Names, a birth date and a number stand in file names, folders, EXIF, XMP, PNG text, DICOM tags, a video's metadata,
tables and letters; the folder that is worked in, the user, the home and the machine are called by them, too. After
`cohorts import --deidentify` every command of the CLI is given, and eleven that end in an error. Searched: every byte
of what was written (packed text and pixels as well, in seven encodings), and all that was printed. An audit hook in
this process and in every process that it starts hears what is asked of the network. Exit status 1 where anything is
found; privacy.json in FOLDER holds it.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.every_command import FAILING, SERVED, TOUR, Given, at, command_names, give, lay_material, named
from support.planted_identifiers import PLANTS, found_in

SEARCHED = ("data", "run", "made", "home")
DOWNLOAD = "adapt --source zju2 --target haining --phantom --encoder-weights imagenet --encoder resnet18 --out download"


def printed(given: Given) -> list[str]:
    return [plant for plant in PLANTS if plant.lower() in given.said.lower()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    root = (asked.out or Path(tempfile.mkdtemp(prefix="privacy-"))).absolute()
    place = lay_material(root)
    untold = sorted(command_names() - {named(words) for words in TOUR} - {SERVED})
    wrong = [f"not given: {name}" for name in untold]
    planted = found_in(place / "ward-7")
    wrong += [f"the search does not find {plant} in the source" for plant in PLANTS if plant not in planted]
    sockets = 0
    with at(place) as heard:
        for words in (*TOUR[:-1], *FAILING):
            given = give(words, heard)
            sockets += len(given.sockets)
            faults = [f"prints {plant}" for plant in printed(given)] + given.sockets
            if (given.status != 0) != (words in FAILING):
                faults.append(f"exit {given.status}: {given.said[-600:]}")
            print(f"{named(words)}: {'; '.join(faults) or 'well'}", flush=True)
            wrong += [f"{words}: {fault}" for fault in faults]
        found = {name: {key: sorted(files) for key, files in found_in(place / name).items()} for name in SEARCHED}
        give(TOUR[-1], heard)
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        download = give(DOWNLOAD, heard)
    wrong += [
        f"{name}: {plant} in {', '.join(files[:9])}" for name, one in found.items() for plant, files in one.items()
    ]
    if not download.sockets:
        wrong.append("a download was not heard: the watch is deaf")
    files = sum(path.is_file() for name in SEARCHED for path in (place / name).rglob("*"))
    figures = {
        "commands": len(TOUR) + len(FAILING),
        "files searched": files,
        "identifiers found": sum(len(one) for one in found.values()),
        "sockets": sockets,
        "sockets of an explicit download": len(download.sockets),
    }
    (root / "privacy.json").write_text(json.dumps({"figures": figures, "wrong": wrong}, indent=1, ensure_ascii=False))
    print(json.dumps(figures))
    for one in wrong:
        print(f"WRONG {one}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
