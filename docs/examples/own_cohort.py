"""A cohort of your own, laid out by hand: `python docs/examples/own_cohort.py IMAGES MASKS ID DATA`.

IMAGES and MASKS are folders of PNG files with the same names, PATIENT_NUMBER.png. (`polypda cohorts import` does this
for many layouts, and looks at each file.)
"""

import csv
import shutil
import sys
from pathlib import Path

import polypda

images, masks, cohort_id, data = sys.argv[1:]
folder = Path(data, cohort_id)
shutil.copytree(images, folder / "images")
shutil.copytree(masks, folder / "masks")

with (folder / "frames.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["frame", "patient"])
    for image in sorted((folder / "images").glob("*.png")):
        table.writerow([image.stem, image.stem.split("_")[0]])

(folder / "manifest.yaml").write_text(f"""\
id: {cohort_id}
title: {{en: "Frames of {cohort_id}"}}
centre: null
city: null
country: null
scope: {{vendor: null, processor: null, endoscope: null, modes: null}}
declared: {{}}
verified: {{}}
annotation: mask
media: frames
access: {{level: private, how: "Ask the data's owner."}}
facts:
  - {{statement: "Laid out from two folders.", source: "docs/examples/own_cohort.py", status: declared}}
""")

cohort = polypda.open_cohort(cohort_id, data)
print(cohort.counts())
patients = {frame.patient: frame.split.value for frame in cohort.frames}
print(f"{len(cohort.frames)} frames of {len(patients)} patients, each patient in one part: {patients}")
print(f"polypda adapt --source {cohort_id} --target TARGET --data-root {data}")
