"""Judge attacked images from their PNG files with the runtime alone: python judge_tflite.py MODEL.tflite RUN/images."""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

interpreter = Interpreter(sys.argv[1])
interpreter.allocate_tensors()
(takes,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
scale, zero = takes["quantization"]
reproduced = []
for path in sorted(path for folder in sys.argv[2:] for path in Path(folder).glob("*/*.png")):
    index, label, *prediction = map(int, path.stem.split("-"))  # a clean image's name has no prediction
    if prediction and prediction[0] != label:
        pixels = np.atleast_3d(np.asarray(Image.open(path)))[None].astype(np.float32)  # black is 0 and white 255
        inputs = np.round(pixels / scale) + zero if scale else pixels
        interpreter.set_tensor(takes["index"], inputs.astype(takes["dtype"]))
        interpreter.invoke()
        reproduced.append(interpreter.get_tensor(gives["index"])[0].argmax() == prediction[0])
print(f"{sum(reproduced)} of {len(reproduced)} successes reproduced")
sys.exit(not all(reproduced))
