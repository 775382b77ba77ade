"""Which words of a source may stay: names of lesions and of imaging modes. Any other text could be somebody's name."""

from __future__ import annotations

import re

from polypda.importing.annotations.frame_facts import imaging_mode

_LESION_WORDS = (
    "polyp polyps lesion lesions adenoma adenomas adenomatous tubular tubulovillous villous hyperplastic hyperplasia "
    "serrated sessile pedunculated subpedunculated flat depressed traditional neoplastic neoplasm neoplasia non "
    "carcinoma adenocarcinoma cancer malignant benign tumour tumor inflammatory invasive superficial deep unknown "
    "other high low grade dysplasia ssl ssa ssap tsa lst hp ad ip isp is iia iib iic paris nice jnet type "
    "息肉 腺瘤 病变 病灶 肿瘤 增生 增生性 锯齿状 癌"
)
LESIONS = frozenset(_LESION_WORDS.split())
NUMBER = re.compile(r"[0-9]{1,2}[ab]?")


def lesion_label(label: str) -> str | None:
    """A box's label where every word of it is known to name a lesion (or is a class number); else None."""
    words = [word for word in re.split(r"[\W_]+", label.casefold()) if word]
    known = all(word in LESIONS or NUMBER.fullmatch(word) for word in words)
    return label if words and known else None


def known_mode(mode: str) -> str | None:
    """The imaging mode under its usual name; None for any other text."""
    return imaging_mode(mode)
