"""Marks polyps on images: `python docs/examples/predict.py RUN|MODEL IMAGE… OUT`, OUT a folder for masks."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import polypda

path, *images, out = sys.argv[1:]
model = polypda.load(path)
print(model.facts.training.labels)
Path(out).mkdir(parents=True, exist_ok=True)
names = [f"{Path(image).stem}.png" for image in images]
assert len(set(names)) == len(names), "images of one name would write over each other's masks"

for image, name, found in zip(images, names, model.predict(images), strict=True):
    share = found.mask.sum() / found.view.mask.sum()
    surest = found.probability.max()
    print(f"{Path(image).name}: {share:.1%} of the field of view is marked; highest probability {surest:.2f}")
    Image.fromarray(found.mask.astype(np.uint8) * 255).save(Path(out, name))
