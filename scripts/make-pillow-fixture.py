# Writes test/golden/evaluation-crop.json: what Pillow makes of small pictures that follow a formula, by
# the geometry of torchvision's Resize and CenterCrop. Needs torchvision, numpy, and pillow < 13 (later ones
# change the order of the passes on tall pictures). Run from the root:
#   python scripts/make-pillow-fixture.py
import base64
import json

import numpy as np
import PIL
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

CASES = [  # height, width, size: down, up, odd remainders, and no change of size
    (37, 53, 16),
    (64, 48, 17),
    (200, 31, 12),
    (9, 14, 24),
    (25, 24, 24),
    (18, 18, 18),
]


def picture(height: int, width: int) -> Image.Image:
    y, x, c = np.ogrid[:height, :width, :3]
    return Image.fromarray(((x * x * 3 + y * 11 + x * y * (c + 1) + c * 70) % 256).astype(np.uint8))


cases = []
for height, width, size in CASES:
    for name in ("bicubic", "bilinear"):
        resized = F.resize(picture(height, width), size, InterpolationMode(name))
        crop = np.asarray(F.center_crop(resized, size))
        data = base64.b64encode(crop.tobytes()).decode()
        cases.append({"height": height, "width": width, "size": size, "filter": name, "bytes": data})

with open("test/golden/evaluation-crop.json", "w") as file:
    json.dump({"pillow": PIL.__version__, "cases": cases}, file, indent=2)
    file.write("\n")
