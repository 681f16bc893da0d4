"""Judge attacked images from their PNG files with the runtime alone: python judge_onnx.py MODEL.onnx RUN/images."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
(takes,) = session.get_inputs()
reproduced = []
for path in sorted(path for folder in sys.argv[2:] for path in Path(folder).glob("*/*.png")):
    index, label, *prediction = map(int, path.stem.split("-"))  # a clean image's name has no prediction
    if prediction and prediction[0] != label:
        pixels = np.atleast_3d(np.asarray(Image.open(path))).transpose(2, 0, 1)
        outputs = session.run(None, {takes.name: pixels[None].astype(np.float32) / np.float32(255)})[0]
        reproduced.append(outputs[0].argmax() == prediction[0])
print(f"{sum(reproduced)} of {len(reproduced)} successes reproduced")
sys.exit(not all(reproduced))
