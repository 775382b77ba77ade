"""Rows of the conformance table about contours: HD95 (linear percentile, larger direction) and NSD (tolerance).

How to read a row: :mod:`conformance_case`. The contour of a mask: the mask without its erosion by the 4-neighbourhood.
"""

from conformance_case import Case

# fmt: off
CONTOURS = {
    "mark nine columns away": Case(
        "distances", "g........p ..........", "positive",
        "0 0 0 0 18/19 0 1/10", "1/20 1/20 0",
        "√81 0 2", "0 0 0 0 1 1",
    ),
    "mark three columns away": Case(
        "distances", "2*gg.pp..... ..........", "positive",
        "0 0 0 0 11/13 0 4/15", "2/15 2/15 0",
        "√9 1/2 2", "0 0 0 0 1 1",
    ),
    "diagonal shift": Case(
        "distances", "gg.... gTp... .pp...", "positive",
        "1/4 1/7 1/4 1/4 11/14 1/4 1/3", "2/9 1/6 0",
        "√1+17/20(√2-√1) 1 2", "0 0 0 0 1 1",
    ),
    "knight's move": Case(
        "distances", "g..... ..p... ......", "positive",
        "0 0 0 0 16/17 0 1/9", "1/18 1/18 0",
        "√5 0 2", "0 0 0 0 1 1",
    ),
    # back 0, 0, 0, 0, √26 at rank 3.8
    "interpolated percentile": Case(
        "distances", "TTTT..... ........p", "positive",
        "8/9 4/5 1 4/5 13/14 20/21 1/18", "2/9 1/18 0",
        "√0+4/5(√26-√0) 8/9 2", "0 0 0 0 1 2",
    ),
    # 41 contour pixels: rank 38 of 0–40 is on the polyp
    "outlier below five percent is left out": Case(
        "distances", "40T..p 43.", "positive",
        "80/81 40/41 1 40/41 45/46 200/201 1/86", "20/43 1/86 0",
        "√0 80/81 2", "1 1 1 1 0 1",
    ),
    # 20 contour pixels: rank 18.05 lies between the 19th, 0, and the 20th, 2
    "outlier at exactly five percent": Case(
        "distances", "19T.p 21.", "positive",
        "38/39 19/20 1 19/20 22/23 95/96 1/42", "19/42 1/42 0",
        "√0+1/20(√4-√0) 1 2", "0 0 0 0 1 2",
    ),
    "hole has a contour of its own": Case(
        "distances", "7T.. 7T.. 2T3g2T.. 2T3g2T.. 2T3g2T.. 7T.. 7T..", "positive",
        "80/89 40/49 40/49 1 1 50/59 1/7", "7/9 0 0",
        "√1 1 2", "1 1 1 1 0 0",
    ),
    # four pixels around the hole are contour, one pixel from the outer one
    "one missing inner pixel draws a contour": Case(
        "distances", "2*5T3. 2Tg2T3. 2*5T3. 8.", "positive",
        "48/49 24/25 24/25 1 1 30/31 1/48", "25/48 0 0",
        "√1 1 2", "1 1 1 1 0 0",
    ),
    # 0 there; back 0, 0, 7 at rank 1.9
    "the larger direction decides": Case(
        "distances", "TT......p. ..........", "positive",
        "4/5 2/3 1 2/3 17/18 10/11 1/20", "1/10 1/20 0",
        "√0+9/10(√49-√0) 4/5 2", "0 0 0 0 1 2",
    ),
    "two pixels are tolerated": Case(
        "tolerance", "g.p... ......", "positive",
        "0 0 0 0 10/11 0 1/6", "1/12 1/12 0",
        "√4 1 2", "0 0 0 0 1 1",
    ),
    "√5 is not tolerated": Case(
        "tolerance", "g..... ..p... ......", "positive",
        "0 0 0 0 16/17 0 1/9", "1/18 1/18 0",
        "√5 0 2", "0 0 0 0 1 1",
    ),
    "three columns too wide": Case(
        "tolerance", "3*4T3p.. 9.", "positive",
        "8/11 4/7 1 4/7 5/8 20/23 1/4", "1/3 1/4 0",
        "√9 23/26 2", "0 1 0 0 1 0",
    ),
    "three pixels in a field of 300": Case(
        "tolerance", "2*g..p296. 300.", "positive",
        "0 0 0 0 448/449 0 1/225", "1/450 1/450 0",
        "√9 1 3", "0 0 0 0 1 1",
    ),
    "three pixels in a field of 299": Case(
        "tolerance", "2*g..p295. 299.", "positive",
        "0 0 0 0 893/895 0 4/897", "2/897 2/897 0",
        "√9 0 299/100", "0 0 0 0 1 1",
    ),
    "four pixels in a field of 300": Case(
        "tolerance", "2*g...p295. 300.", "positive",
        "0 0 0 0 448/449 0 1/225", "1/450 1/450 0",
        "√16 0 3", "0 0 0 0 1 1",
    ),
    "tall field of 300": Case(
        "tolerance", "g. .. .. p. 296*..", "positive",
        "0 0 0 0 598/599 0 1/300", "1/600 1/600 0",
        "√9 1 3", "0 0 0 0 1 1",
    ),
    "wide frame, narrow field of view": Case(
        "tolerance", "2*g..p96.200~ 100.200~", "positive",
        "0 0 0 0 148/149 0 1/75", "1/150 1/150 0",
        "√9 0 2", "0 0 0 0 1 1",
    ),
    "contour at the edge of the valid area": Case(
        "contours and valid area", "3*~BTTp.. ~~.....", "positive",
        "4/5 2/3 1 2/3 11/14 10/11 3/20", "3/10 3/20 1/3",
        "√1 1 2", "0 0 0 0 1 1",
    ),
    "parts outside draw no contour": Case(
        "contours and valid area", "2*BBTT..P 4.2~.", "positive",
        "1 1 1 1 1 1 0", "4/13 0 1/2",
        "√0 1 2", "0 0 0 0 1 1",
    ),
}
# fmt: on
