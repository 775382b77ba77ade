"""``deidentification.md``: what an import removed, for people; no name, date or text of the source is in it."""

from __future__ import annotations

from polypda.importing.deidentification.findings import Findings, FrameFindings
from polypda.reporting.documents.markdown_document import bullets, code, table

FILE_NAME = "deidentification.md"
MOST_NAMED = 200
LIMITS = (
    "Text is found by its look: light letters on one line. Handwriting, dark letters, single letters, very faint ones, "
    "and letters of red are not looked for inside the field of view; outside it every pixel is black.",
    "Mucosa itself can identify nobody that is known of, but a rare finding together with other knowledge may.",
    "Pseudonyms can be turned back by whoever has the key: keep it apart from the frames, or destroy it.",
    "No software replaces a look at the frames: begin with those that are named below.",
)


def deidentification_markdown(findings: Findings) -> str:
    """The summary as Markdown."""
    figures = findings.summary()
    parts = [
        f"# De-identification of {code(findings.cohort)}",
        _removed(findings),
        "## Figures",
        table(("what", "frames"), _counts(figures), ("frames",)),
        _fractions(figures),
        "## Frames to look at",
        _to_look_at(findings.to_look_at()),
        "## What this cannot promise",
        bullets(LIMITS),
    ]
    return "\n\n".join(parts) + "\n"


def _removed(findings: Findings) -> str:
    metadata = sorted({kind for frame in findings.frames for kind in frame.metadata})
    found = f" Their files held: {', '.join(metadata)}." if metadata else ""
    ignored = " and marked in `ignore/`, so that they neither count nor teach" if findings.insets == "ignored" else ""
    lines = [
        "Every picture was decoded and encoded anew as PNG: nothing of the original files was copied." + found,
        f"Outside the scope's field of view all pixels are black; inside it insets and text are black{ignored}.",
        "Names of patients, sequences and frames are keyed hashes (HMAC-SHA256). The key's fingerprint is "
        f"{code(findings.key_fingerprint)}; the key is not in this folder.",
        "Names of files and folders, remarks and dates of the source are in none of the files; all files bear one "
        "date. Times count from the start of their sequence.",
    ]
    lines += [f"Removed besides: {what} ({count})." for what, count in sorted(findings.removed.items())]
    return bullets(lines)


def _counts(figures: dict) -> list[tuple[str, str]]:
    wanted = {
        "frames": "all",
        "frames_with_text": "with burned-in text",
        "frames_with_text_in_the_field": "with text in the field of view",
        "frames_with_inset": "with an inset",
        "frames_with_second_picture": "with a second picture outside the field of view",
        "frames_without_field_of_view": "without a field of view (kept on request)",
        "frames_whose_file_held_metadata": "whose file held metadata",
        "frames_whose_polyp_is_partly_blank": "whose polyp annotation lies partly on blank pixels",
        "frames_without_figures": "taken over from an interrupted import, without figures",
        "frames_to_look_at": "for a person to look at",
    }
    return [(told, str(figures[name])) for name, told in wanted.items() if figures[name] or name == "frames"]


def _fractions(figures: dict) -> str:
    if figures["field_lost_median"] is None:
        return "No frame was measured."
    return (
        f"Of the field of view, {figures['field_lost_median']:.1%} of the pixels are blank in the median frame and "
        f"{figures['field_lost_most']:.1%} in the worst; of the whole frame {figures['share_blanked_median']:.0%} "
        "in the median."
    )


def _to_look_at(frames: list[FrameFindings]) -> str:
    if not frames:
        return "None."
    rows = [
        (
            code(frame.frame),
            "; ".join(frame.look_at),
            f"{frame.field_lost:.1%}",
            _fraction(frame.polyp_lost),
        )
        for frame in frames[:MOST_NAMED]
    ]
    headers = ("frame", "why", "field of view blank", "polyp blank")
    more = f"\n\nAnd {len(frames) - MOST_NAMED} more, in `deidentification.json`." if len(frames) > MOST_NAMED else ""
    return table(headers, rows, headers[2:]) + more


def _fraction(share: float | None) -> str:
    if share is None:
        return "–"
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"
