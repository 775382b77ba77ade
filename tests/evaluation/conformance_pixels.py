"""Rows of the conformance table about counting pixels: what is found, missed, wrongly marked, outside, ignored.

How to read a row: :mod:`conformance_case`.
"""

from conformance_case import Case

# fmt: off
PIXELS = {
    "equal": Case(
        "overlap", "TT. ...", "positive",
        "1 1 1 1 1 1 0", "1/3 0 0",
        "√0 1 2", "0 0 0 0 1 1",
    ),
    "half found": Case(
        "overlap", "Tg.. ....", "positive",
        "2/3 1/2 1/2 1 1 5/9 1/8", "1/4 0 0",
        "√0+19/20(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    "twice too large": Case(
        "overlap", "TT.. pp..", "positive",
        "2/3 1/2 1 1/2 2/3 5/6 1/4", "1/4 1/4 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "overlap of one": Case(
        "overlap", "gTp.. .....", "positive",
        "1/2 1/3 1/2 1/2 7/8 1/2 1/5", "1/5 1/10 0",
        "√0+19/20(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    "beside without overlap": Case(
        "overlap", "g.p ...", "positive",
        "0 0 0 0 4/5 0 1/3", "1/6 1/6 0",
        "√4 1 2", "0 0 0 0 1 1",
    ),
    "mark inside the polyp": Case(
        "overlap", "ggg.. gTg.. ggg..", "positive",
        "1/5 1/9 1/9 1 1 5/37 8/15", "3/5 0 0",
        "√2 1 2", "0 0 0 0 1 1",
    ),
    "mark around the polyp": Case(
        "overlap", "ppp.. pTp.. ppp..", "positive",
        "1/5 1/9 1 1/9 3/7 5/13 8/15", "1/15 8/15 0",
        "√2 1 2", "0 0 0 0 1 1",
    ),
    "shifted by one column": Case(
        "overlap", "..... gTTp. gTTp. .....", "positive",
        "2/3 1/2 2/3 2/3 6/7 2/3 1/5", "3/10 1/10 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "mark with a hole": Case(
        "overlap", "TTT.. TgT.. TTT..", "positive",
        "16/17 8/9 8/9 1 1 10/11 1/15", "3/5 0 0",
        "√0 1 2", "0 0 0 0 1 1",
    ),
    "two polyps, one found": Case(
        "overlap", "T...g .....", "positive",
        "2/3 1/2 1/2 1 1 5/9 1/10", "1/5 0 0",
        "√0+19/20(√16-√0) 2/3 2", "0 0 0 0 2 1",
    ),
    "tall frame": Case(
        "overlap", "g. T. T. p. ..", "positive",
        "2/3 1/2 2/3 2/3 6/7 2/3 1/5", "3/10 1/10 0",
        "√0+9/10(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    "three of five": Case(
        "overlap", "TTTgg ppp.. .....", "positive",
        "6/11 3/8 3/5 1/2 7/10 15/26 1/3", "1/3 1/5 0",
        "√1+4/5(√4-√1) 1 2", "0 0 0 0 1 1",
    ),
    "one row": Case(
        "overlap", "..gTTp.", "positive",
        "2/3 1/2 2/3 2/3 3/4 2/3 2/7", "3/7 1/7 0",
        "√0+9/10(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    # no polyp-free pixel: specificity says nothing
    "polyp fills the frame": Case(
        "overlap", "TTT TTg", "positive",
        "10/11 5/6 5/6 1 - 25/29 1/6", "1 0 0",
        "√0+3/4(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    "everything marked": Case(
        "overlap", "pTTp pppp", "positive",
        "2/5 1/4 1 1/4 0 5/8 3/4", "1/4 3/4 0",
        "√2 1 2", "0 0 0 0 1 1",
    ),
    "missed": Case(
        "missed", "gg. ...", "missed",
        "0 0 0 - 1 0 1/3", "1/3 0 0",
        "√13! 0 2", "0 0 0 0 1 0",
    ),
    "missed in a tall frame": Case(
        "missed", "... .g. ... ...", "missed",
        "0 0 0 - 1 0 1/12", "1/12 0 0",
        "√25! 0 2", "0 0 0 0 1 0",
    ),
    "missed, polyp fills the frame": Case(
        "missed", "ggg ggg", "missed",
        "0 0 0 - - 0 1", "1 0 0",
        "√13! 0 2", "0 0 0 0 1 0",
    ),
    # 4 × 3 px
    "missed, penalty is the field of view's diagonal": Case(
        "missed", "~~~~~~~ ~....~~ ~.gg.~~ ~....~~ ~~~~~~~", "missed",
        "0 0 0 - 1 0 1/6", "1/6 0 0",
        "√25! 0 2", "0 0 0 0 1 0",
    ),
    # box of both parts: 4 × 3 px
    "missed, valid area in two parts": Case(
        "missed", "~..~~~ ~..~.~ ~g.~.~ ~~~~~~", "missed",
        "0 0 0 - 1 0 1/8", "1/8 0 0",
        "√25! 0 2", "0 0 0 0 1 0",
    ),
    "missed, the only mark lies outside the valid area": Case(
        "missed", ".gg.~~ ....P~", "missed",
        "0 0 0 - 1 0 1/4", "1/4 0 0",
        "√20! 0 2", "0 0 0 0 1 0",
    ),
    "missed, marks below the threshold": Case(
        "missed", "gg. ...", "missed",
        "0 0 0 - 1 0 1/4", "1/3 0 0",
        "√13! 0 2", "0 0 0 0 1 0",
        probability="3/8 1/4 0 | 1/8 0 0",
    ),
    "one pixel marked": Case(
        "negative frame, marked", "p.. ...", "negative",
        "- - - 0 5/6 - 1/6", "0 1/6 0",
        "- - 2", "0 0 0 0 0 1", "0 1",
    ),
    "whole frame marked": Case(
        "negative frame, marked", "5*7p", "negative",
        "- - - 0 0 - 1", "0 1 0",
        "- - 2", "0 1 0 0 0 0", "1 0",
    ),
    "one component and one speck": Case(
        "negative frame, marked", "4*5p7. 2*12. 9.3p", "negative",
        "- - - 0 61/84 - 23/84", "0 23/84 0",
        "- - 2", "0 1 0 0 0 1", "1 1",
    ),
    "two components joined at a corner": Case(
        "negative frame, marked", "4*5p7. 4*5.5p2.", "negative",
        "- - - 0 7/12 - 5/12", "0 5/12 0",
        "- - 2", "0 1 0 0 0 0", "1 0",
    ),
    "exactly one percent marked": Case(
        "negative frame, marked", "10p40. 19*50.", "negative",
        "- - - 0 99/100 - 1/100", "0 1/100 0",
        "- - 2", "0 0 0 0 0 1", "0 1",
    ),
    "more than one percent marked": Case(
        "negative frame, marked", "11p39. 19*50.", "negative",
        "- - - 0 989/1000 - 11/1000", "0 11/1000 0",
        "- - 2", "0 0 0 0 0 1", "0 1",
    ),
    "marks outside the valid area do not count": Case(
        "negative frame, marked", "..~P .p~P", "negative",
        "- - - 0 3/4 - 1/4", "0 1/4 0",
        "- - 2", "0 0 0 0 0 1", "0 1",
    ),
    "empty and empty": Case(
        "negative frame, silent", "... ...", "negative",
        "- - - - 1 - 0", "0 0 0",
        "- - 2", "0 0 0 0 0 0", "0 0",
    ),
    "empty and empty in a field of view": Case(
        "negative frame, silent", "~...~ .....", "negative",
        "- - - - 1 - 0", "0 0 0",
        "- - 2", "0 0 0 0 0 0", "0 0",
    ),
    "the only mark lies outside": Case(
        "negative frame, silent", "..~P ..~P", "negative",
        "- - - - 1 - 0", "0 0 0",
        "- - 2", "0 0 0 0 0 0", "0 0",
    ),
    "faint marks": Case(
        "negative frame, silent", "... ...", "negative",
        "- - - - 1 - 5/48", "0 0 0",
        "- - 2", "0 0 0 0 0 0", "0 0",
        probability="1/4 0 0 | 0 3/8 0",
    ),
    "polyp at the left border": Case(
        "border", "..... Tg... Tg... .....", "positive",
        "2/3 1/2 1/2 1 1 5/9 1/10", "1/5 0 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "polyp in the corner": Case(
        "border", "TTg.. Tg... .....", "positive",
        "3/4 3/5 3/5 1 1 15/23 2/15", "1/3 0 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "polyp across the whole width": Case(
        "border", "..... TTTTT ggggg .....", "positive",
        "2/3 1/2 1/2 1 1 5/9 1/4", "1/2 0 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "mark reaches the border, polyp does not": Case(
        "border", "..... pTT.. pTT.. .....", "positive",
        "4/5 2/3 1 2/3 7/8 10/11 1/10", "1/5 1/10 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "only the valid area counts": Case(
        "field of view", "TTp~ GG~P", "positive",
        "4/5 2/3 1 2/3 0 10/11 1/3", "2/3 1/3 1/2",
        "√0+9/10(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    "octagon": Case(
        "field of view", "~.....~ ..gTp.. ..gTp.. ~.....~", "positive",
        "1/2 1/3 1/2 1/2 9/10 1/2 1/6", "1/6 1/12 0",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    # neither positive nor negative
    "reference wholly outside": Case(
        "field of view", "Gp.. ~...", "outside",
        "- - - 0 5/6 - 1/6", "0 1/6 1",
        "- - 2", "0 0 0 0 0 1",
    ),
    "reference partly outside": Case(
        "field of view", "~~BTg.. ~~GTp..", "positive",
        "2/3 1/2 2/3 2/3 4/5 2/3 1/4", "3/8 1/8 2/5",
        "√0+9/10(√1-√0) 1 2", "0 0 0 0 1 1",
    ),
    # marked only where nothing counts: missed
    "found part lies outside only": Case(
        "field of view", "~BBg. ~BBg.", "missed",
        "0 0 0 - 1 0 1/2", "1/2 0 2/3",
        "√8! 0 2", "0 0 0 0 1 0",
    ),
    "ignored hole inside the polyp": Case(
        "ignored region", ".TTTT. .T~GT. .TTTT.", "positive",
        "1 1 1 1 1 1 0", "5/8 0 1/11",
        "√0 1 2", "0 0 0 0 1 1",
    ),
    # inset text marked by the network
    "ignored region under the false mark": Case(
        "ignored region", "TT... ..PP. .....", "positive",
        "1 1 1 1 1 1 0", "2/13 0 0",
        "√0 1 2", "0 0 0 0 1 1",
    ),
    "ignored strip": Case(
        "ignored region", "gT~BTp .T~BT.", "positive",
        "4/5 2/3 4/5 4/5 2/3 4/5 1/4", "5/8 1/8 2/7",
        "√0+4/5(√1-√0) 1 2", "0 0 0 0 2 2",
    ),
    "exactly at the threshold": Case(
        "threshold", "T.. ...", "positive",
        "1 1 1 1 1 1 1/12", "1/6 0 0",
        "√0 1 2", "0 0 0 0 1 1",
        probability="1/2 0 0 | 0 0 0",
    ),
    "just below the threshold": Case(
        "threshold", "g.. ...", "missed",
        "0 0 0 - 1 0 171/2048", "1/6 0 0",
        "√13! 0 2", "0 0 0 0 1 0",
        probability="511/1024 0 0 | 0 0 0",
    ),
    "own threshold of three quarters": Case(
        "threshold", "Tg.p ....", "positive",
        "1/2 1/3 1/2 1/2 5/6 1/2 17/64", "1/4 1/8 0",
        "√0+19/20(√4-√0) 1 2", "0 0 0 0 1 2",
        probability="3/4 5/8 1/2 1 | 0 0 0 0", threshold="3/4",
    ),
    "error of soft probabilities": Case(
        "threshold", "Tg. p..", "positive",
        "1/2 1/3 1/2 1/2 3/4 1/2 17/48", "1/3 1/6 0",
        "√0+19/20(√1-√0) 1 2", "0 0 0 0 1 1",
        probability="3/4 1/4 1/8 | 5/8 0 3/8",
    ),
    "error outside the valid area is not counted": Case(
        "threshold", "Tg~ p.~", "positive",
        "1/2 1/3 1/2 1/2 1/2 1/2 17/32", "1/2 1/4 0",
        "√0+19/20(√1-√0) 1 2", "0 0 0 0 1 1",
        probability="1/2 1/4 1 | 3/4 1/8 1",
    ),
}
# fmt: on
