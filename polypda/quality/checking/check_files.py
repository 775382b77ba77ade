"""Files that cannot be used, and what the manifest declares, held against what was found."""

from __future__ import annotations

from collections import Counter, defaultdict

from polypda.cohorts.frames import LabelState
from polypda.cohorts.manifest import Annotation
from polypda.cohorts.opening import missing_boxes, missing_masks
from polypda.cohorts.sub_cohorts import mode_words
from polypda.quality.checking.cohort_view import CohortView, Drawing, Finding
from polypda.quality.checking.observation import Observation


def check_pairing(view: CohortView) -> list[Finding]:
    """Images without masks or boxes, masks without images, frames that the manifest leaves out."""
    findings = []
    found = view.found
    if found.without_mask:
        error = missing_masks(view.manifest, view.located, found)
        findings.append(Finding(error.code, error.what, found.without_mask, drawing=Drawing.FRAME))
    if found.without_box:
        error = missing_boxes(view.manifest, found)
        findings.append(Finding(error.code, error.what, found.without_box, drawing=Drawing.FRAME))
    if found.masks_without_image:
        orphans = tuple(path.name for path in found.masks_without_image)
        findings.append(Finding("W_MASK_ORPHAN", f"{len(orphans)} masks have no image.", orphans))
    excluded = view.located.layout.exclude
    if excluded:
        reasons = {exclusion.frame: exclusion.why for exclusion in excluded}
        message = f"{len(reasons)} frames are left out by the manifest."
        findings.append(Finding("N_EXCLUDED", message, tuple(reasons), values=reasons))
    return findings


def check_problems(view: CohortView) -> list[Finding]:
    """Files that cannot be read or do not fit their image; the check goes on with the others."""
    by_code: dict[str, list[Observation]] = defaultdict(list)
    for one in view.seen:
        if one.problem is not None:
            by_code[one.problem.code].append(one)
    findings = []
    for code, concerned in by_code.items():
        problem = concerned[0].problem
        first = f"{concerned[0].frame.frame}: {problem.what} Fix: {problem.fix}" if problem else ""
        message = f"{len(concerned)} frames; the first, {first}"
        drawing = Drawing.FRAME if code in ("E_IMAGE_TRUNCATED", "E_MASK_SIZE") else Drawing.NOTHING
        findings.append(Finding.about(code, message, concerned, drawing))
    return findings


def check_conversions(view: CohortView) -> list[Finding]:
    """Image files that are read all the same, but not as they are: what was changed or guessed, by its code."""
    by_code: dict[str, list[tuple[Observation, str]]] = defaultdict(list)
    for one in view.seen:
        for code, what in one.remarks:
            by_code[code].append((one, what))
    return [
        Finding.about(
            code,
            f"{len(told)} images; the first, {told[0][0].frame.frame}: {told[0][1]}",
            (one for one, _ in told),
            Drawing.FRAME,
        )
        for code, told in by_code.items()
    ]


def check_orientation(view: CohortView) -> list[Finding]:
    """Images whose EXIF data ask for turning: read as stored here, turned by most viewers and annotation tools."""
    turned = [one for one in view.seen if one.orientation != 1]
    if not turned:
        return []
    message = (
        f"{len(turned)} images carry an EXIF orientation; they are read as they are stored, while a tool that draws "
        "masks may have turned them. Look at the masks, or import the cohort (`polypda cohorts import` turns both)."
    )
    values = [f"orientation {one.orientation}" for one in turned]
    return [Finding.about("W_ORIENTATION", message, turned, Drawing.MASK, values)]


BOX_MISFIT = 0.5
"""Boxes that overlap the mask's own boxes with an IoU below this were probably drawn on another image."""


def check_counts(view: CohortView) -> list[Finding]:
    """Number of frames; layouts that nobody has tried."""
    located, manifest = view.located, view.manifest
    found = len(view.opened.frames)
    if located.phantom:
        return [Finding("N_PHANTOM", f"{found} rendered frames: synthetic, not clinical evidence.")]
    if view.opened.id != manifest.id:
        message = f"{found} of the cohort's {len(view.found.frames)} frames are of this imaging mode."
        return [Finding("N_COUNT", message)]
    findings = []
    if not located.layout.verified:
        message = (
            f"the layout '{located.layout.name}' was written from descriptions and never tried: look at the pairs."
        )
        findings.append(Finding("W_LAYOUT_UNVERIFIED", message))
    declared = manifest.verified.frames if manifest.verified.frames is not None else manifest.declared.frames
    expected = located.layout.frames if located.layout.frames is not None else declared
    left_out = len(located.layout.exclude)
    counted = f"{found} frames" + (f" and {left_out} left out" if left_out else "")
    if expected is None:
        findings.append(Finding("N_COUNT", f"{counted}; how many there should be is unknown."))
    elif found + left_out != expected and _counted_elsewhere(view, expected):
        message = f"{counted}; {expected} were counted in another form of the cohort."
        findings.append(Finding("N_COUNT", message))
    elif found + left_out != expected:
        findings.append(Finding("W_COUNT", f"{counted}, {expected} expected."))
    elif declared is not None and declared != expected:
        message = f"{counted}, as many as this form of the cohort holds; the whole cohort has {declared}."
        findings.append(Finding("N_COUNT", message))
    else:
        findings.append(Finding("N_COUNT", f"{counted}, {expected} expected."))
    return findings


def _counted_elsewhere(view: CohortView, expected: int) -> bool:
    """Whether a number is that of another layout, which is all that is known of this one."""
    others = (layout.frames for layout in view.manifest.layouts if layout is not view.located.layout)
    return view.located.layout.frames is None and not view.located.layout.verified and expected in others


def check_sizes(view: CohortView) -> list[Finding]:
    """Sizes of the images."""
    sizes = Counter(one.image_size for one in view.seen if one.image_size)
    if not sizes:
        return []
    commonest = ", ".join(f"{width}×{height} ({count})" for (width, height), count in sizes.most_common(3))
    more = f" and {len(sizes) - 3} more sizes" if len(sizes) > 3 else ""
    findings = [Finding("N_SIZES", f"images are {commonest}{more}.")]
    layout = view.located.layout
    wanted = layout.resolutions or view.manifest.verified.resolutions or view.manifest.declared.resolutions
    if layout.resized or not wanted:
        return findings
    odd = [one for one in view.seen if one.image_size and one.image_size not in wanted]
    if odd:
        sizes_text = ", ".join(f"{width}×{height}" for width, height in wanted)
        message = f"{len(odd)} images are not {sizes_text}, as the manifest says."
        values = ["×".join(map(str, one.image_size or ())) for one in odd]
        findings.append(Finding.about("W_SIZE", message, odd, Drawing.FRAME, values))
    return findings


def check_negatives(view: CohortView) -> list[Finding]:
    """Frames declared free of polyps against their masks; their number against the manifest's."""
    negative = [one for one in view.seen if one.frame.label_state is LabelState.NEGATIVE]
    contradicted = [one for one in negative if (one.mask and one.mask.area_px) or one.frame.boxes]
    empty = [one for one in view.seen if one.frame.label_state is LabelState.MASK and one.mask and not one.mask.area_px]
    findings = []
    if contradicted:
        message = f"{len(contradicted)} frames are declared free of polyps but their masks are not empty."
        findings.append(Finding.about("E_NEGATIVE_MASK", message, contradicted, Drawing.MASK))
    if negative:
        message = f"{len(negative)} frames are declared free of polyps."
        findings.append(Finding.about("N_NEGATIVE", message, negative, Drawing.FRAME))
    if empty:
        message = f"{len(empty)} masks are empty: these frames count as free of polyps."
        findings.append(Finding.about("N_MASK_EMPTY", message, empty, Drawing.FRAME))
    extent = view.manifest.verified if view.manifest.verified.negative_frames is not None else view.manifest.declared
    free = len(empty) + len([one for one in negative if one not in contradicted])
    whole = view.located.layout.frames in (None, extent.frames) and not view.located.phantom
    whole = whole and view.opened.id == view.manifest.id
    if whole and extent.negative_frames is not None and free != extent.negative_frames:
        message = f"{free} frames without a polyp, {extent.negative_frames} expected."
        findings.append(Finding("W_NEGATIVE_COUNT", message))
    return findings


def check_modes(view: CohortView) -> list[Finding]:
    """Imaging modes per frame against those of the manifest."""
    if not any(one.frame.mode for one in view.seen):
        return []
    listed = mode_words(one.frame for one in view.seen)
    findings = [Finding("N_MODES", f"imaging modes: {listed}.")]
    known = view.manifest.scope.modes
    odd = [one for one in view.seen if known and one.frame.mode and one.frame.mode not in known]
    if odd and known:
        message = f"{len(odd)} frames are of a mode that the manifest does not name ({', '.join(known)})."
        findings.append(Finding.about("W_MODE", message, odd, Drawing.FRAME))
    return findings


def check_boxes(view: CohortView) -> list[Finding]:
    """Boxes that leave their frame or do not fit the mask beside them."""
    boxed = [one for one in view.seen if one.frame.boxes]
    findings = []
    if boxed:
        count = sum(len(one.frame.boxes) for one in boxed)
        findings.append(Finding("N_BOXES", f"{count} boxes on {len(boxed)} frames."))
    elif view.manifest.annotation is Annotation.BOX and not view.located.phantom:
        message = "the manifest says boxes, none were found."
        findings.append(Finding("W_BOXES_NONE", message))
    leaving = [one for one in boxed if one.boxes_outside]
    if leaving:
        message = f"boxes of {len(leaving)} frames reach beyond the frame: drawn on an image of another size?"
        findings.append(Finding.about("W_BOX_OUTSIDE", message, leaving, Drawing.MASK))
    apart = [one for one in boxed if one.box_misfit is not None and one.box_misfit > BOX_MISFIT]
    if apart:
        message = f"boxes of {len(apart)} frames do not fit the mask beside them."
        findings.append(Finding.about("W_BOX_MASK", message, apart, Drawing.MASK))
    return findings
