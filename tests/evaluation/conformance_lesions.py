"""Rows of the conformance table about lesions: specks, one-to-one matching, 8-connectivity, the valid area.

How to read a row: :mod:`conformance_case`. The IoU of each pair that decides a row stands above it.
"""

from conformance_case import Case

# fmt: off
LESIONS = {
    "lesion of 19 px is a speck": Case(
        "specks", "2*7T5. 5T7. 12.", "positive",
        "1 1 1 1 1 1 0", "19/48 0 0",
        "√0 1 2", "0 0 0 0 1 1",
    ),
    "lesion of 20 px counts": Case(
        "specks", "4*5T7. 12.", "positive",
        "1 1 1 1 1 1 0", "1/3 0 0",
        "√0 1 2", "1 1 1 1 0 0",
    ),
    "mark of 19 px on a polyp of 20": Case(
        "specks", "3*5T7. 4Tg7. 12.", "positive",
        "38/39 19/20 19/20 1 1 95/99 1/60", "1/3 0 0",
        "√0+7/20(√1-√0) 1 2", "1 0 0 0 0 1",
    ),
    "speck beside a found polyp": Case(
        "specks", "4*5T7. 12. 9.3p 9.p2.", "positive",
        "10/11 5/6 1 5/6 15/16 25/26 1/21", "5/21 1/21 0",
        "√40+3/20(√53-√40) 7/8 2", "1 1 1 1 0 1",
    ),
    "two specks in the reference": Case(
        "specks", "4*5T7. 12. 2g9.g", "positive",
        "40/43 20/23 20/23 1 1 25/28 1/24", "23/72 0 0",
        "√4+1/5(√53-√4) 30/31 2", "1 1 1 1 2 0",
    ),
    # 0.02 % of 128,000 is 25.6
    "25 px in a field of 128,000": Case(
        "specks", "5*5T395. 315*400.", "positive",
        "1 1 1 1 1 1 0", "1/5120 0 0",
        "√0 1 4", "0 0 0 0 1 1",
    ),
    "26 px in a field of 128,000": Case(
        "specks", "5*5T395. T399. 314*400.", "positive",
        "1 1 1 1 1 1 0", "13/64000 0 0",
        "√0 1 4", "1 1 1 1 0 0",
    ),
    # 0.02 % of 150,000 is 30
    "exactly 0.02 % counts": Case(
        "specks", "5*6T494. 295*500.", "positive",
        "1 1 1 1 1 1 0", "1/5000 0 0",
        "√0 1 5", "1 1 1 1 0 0",
    ),
    "29 px in a field of 150,000": Case(
        "specks", "4*6T494. 5T495. 295*500.", "positive",
        "1 1 1 1 1 1 0", "29/150000 0 0",
        "√0 1 5", "0 0 0 0 1 1",
    ),
    # 80 px are valid: the rule is 20 px, not 25.6
    "small valid area in a large frame": Case(
        "specks", "4*5T15.380~ 316*400~", "positive",
        "1 1 1 1 1 1 0", "1/4 0 0",
        "√0 1 2", "1 1 1 1 0 0",
    ),
    # each polyp 20/80: one hit, not two
    "one mark over two polyps": Case(
        "matching", "4*5T10p5T4.", "positive",
        "2/3 1/2 1 1/2 2/7 5/6 5/12", "5/12 5/12 0",
        "√25 5/6 2", "2 1 1 0 0 0",
    ),
    # each mark 20/80: one hit, one false positive
    "two marks on one polyp": Case(
        "matching", "4*5T10g5T4.", "positive",
        "2/3 1/2 1/2 1 1 5/9 5/12", "5/6 0 0",
        "√25 5/6 2", "1 2 1 0 0 0",
    ),
    # 60/100 and 20/100
    "two marks on one polyp, one over half": Case(
        "matching", "10*6T2g2T6.", "positive",
        "8/9 4/5 4/5 1 1 5/6 1/8", "5/8 0 0",
        "√9 20/21 2", "1 2 1 1 0 0",
    ),
    # 10/100
    "overlap of exactly one tenth": Case(
        "matching", "5*9g2T9p2.", "positive",
        "2/11 1/10 2/11 2/11 2/11 2/11 9/11", "1/2 9/22 0",
        "√81 11/28 2", "1 1 1 0 0 0",
    ),
    # 10/105
    "overlap just below one tenth": Case(
        "matching", "5*9g2T10p2.", "positive",
        "4/23 2/21 2/11 1/6 1/6 5/28 19/23", "11/23 10/23 0",
        "√100 11/29 2", "1 1 0 0 0 0",
    ),
    # 50/100
    "overlap of exactly one half": Case(
        "matching", "5*5g10T5p2.", "positive",
        "2/3 1/2 2/3 2/3 2/7 2/3 5/11", "15/22 5/22 0",
        "√25 3/4 2", "1 1 1 1 0 0",
    ),
    # 50/105
    "overlap just below one half": Case(
        "matching", "5*5g10T6p2.", "positive",
        "20/31 10/21 2/3 5/8 1/4 25/38 11/23", "15/23 6/23 0",
        "√36 27/37 2", "1 1 1 0 0 0",
    ),
    # 1/71
    "a pixel in common is no hit": Case(
        "matching", "5*8g3. 4.T6p 4*5.6p", "positive",
        "1/36 1/71 1/41 1/31 13/23 1/39 7/11", "41/110 3/11 0",
        "√32+19/20(√34-√32) 12/41 2", "1 1 0 0 0 0",
    ),
    "three polyps, two found": Case(
        "matching", "4*6T2.6g2.6T2.", "positive",
        "4/5 2/3 2/3 1 1 5/7 1/4", "3/4 0 0",
        "√25 4/5 2", "3 2 2 2 0 0",
    ),
    "polyp missed, mark elsewhere": Case(
        "matching", "4*6g4.6p2.", "positive",
        "0 0 0 0 1/2 0 2/3", "1/3 1/3 0",
        "√100 0 2", "1 1 0 0 0 0",
    ),
    # marks 1, 2 against polyps 1, 2: 3/13, 5/15 with polyp 1; 0, 3/17 with polyp 2. 3/13 + 3/17 > 5/15
    "together better than the best pair": Case(
        "matching", "4*3p3T2g5T2p3T7g2.", "positive",
        "11/18 11/25 11/20 11/16 2/7 55/96 14/27", "20/27 5/27 0",
        "√49 9/11 2", "2 2 2 0 0 0",
    ),
    # at 0.1 two pairs of 4/15 outweigh the middle pair of 1/2; at 0.5 only the middle pair is left
    "each rule is matched by itself": Case(
        "matching", "5*5.4Tg10Tp4T2.", "positive",
        "18/19 9/10 18/19 18/19 7/8 18/19 2/27", "19/27 1/27 0",
        "√1 1 2", "2 2 2 1 0 0",
    ),
    # the middle pair of 15/25 outweighs two pairs of 4/20
    "greatest weight, not most pairs": Case(
        "matching", "5*4Tg15Tp4T2.", "positive",
        "23/24 23/25 23/24 23/24 2/3 23/24 2/27", "8/9 1/27 0",
        "√1 1 2", "2 2 1 1 0 0",
    ),
    "polyps that touch at a corner are one": Case(
        "connectivity", "4*5T8. 4*5.5T3.", "positive",
        "1 1 1 1 1 1 0", "5/13 0 0",
        "√0 1 2", "1 1 1 1 0 0",
    ),
    "polyps one pixel apart are two": Case(
        "connectivity", "4*5T.5T3.", "positive",
        "1 1 1 1 1 1 0", "5/7 0 0",
        "√0 1 2", "2 2 2 2 0 0",
    ),
    # 20/41 each
    "mark bridges two polyps by a corner": Case(
        "connectivity", "4*5T8. 5.p7. 4*6.5T2.", "positive",
        "80/81 40/41 1 40/41 76/77 200/201 1/117", "40/117 1/117 0",
        "√0 1 2", "2 1 1 0 0 0",
    ),
    "polyp inside a ring": Case(
        "connectivity", "2*13T3. 2T9.2T3. 4*2T.7T.2T3. 2T9.2T3. 2*13T3.", "positive",
        "1 1 1 1 1 1 0", "13/20 0 0",
        "√0 1 2", "2 2 2 2 0 0",
    ),
    "polyp split by an ignored strip": Case(
        "lesions and valid area", "5*5T2B5T3.", "positive",
        "1 1 1 1 1 1 0", "10/13 0 1/6",
        "√0 1 2", "2 2 2 2 0 0",
    ),
    "polyp of which a speck is left": Case(
        "lesions and valid area", "4*9.2T3B2~", "positive",
        "1 1 1 1 1 1 0", "2/11 0 3/5",
        "√0 1 2", "0 0 0 0 1 1",
    ),
    "false mark outside is no lesion": Case(
        "lesions and valid area", "4*6T4.2~6P", "positive",
        "1 1 1 1 1 1 0", "3/5 0 0",
        "√0 1 2", "1 1 1 1 0 0",
    ),
    "two marks and a speck without a polyp": Case(
        "lesions and valid area", "4*5p2.5p4. 16. 14.2p", "negative",
        "- - - 0 9/16 - 7/16", "0 7/16 0",
        "- - 2", "0 2 0 0 0 1", "2 1",
    ),
    "one polyp of two missed, one false mark": Case(
        "lesions and valid area", "4*5T3.5g3.5p3.", "positive",
        "1/2 1/3 1/2 1/2 9/14 1/2 5/12", "5/12 5/24 0",
        "√64 1/2 2", "2 2 1 1 0 0",
    ),
}
# fmt: on
