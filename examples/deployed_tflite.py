"""A published TFLite file, judged by LiteRT (extra `tflite`): python deployed_tflite.py [IMAGES].

The file comes by `quantattack fetch mlperf-tiny/resnet8-int8`, the images by `quantattack data fetch cifar10`,
both into the folder QUANTATTACK_DATA.
"""

import sys

import quantattack as qa

model = qa.load_model("mlperf-tiny/resnet8-int8")
count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
images, labels = (part[:count] for part in qa.load_data("cifar10"))
threat = qa.Threat("linf", 2 / 255, levels=256)
attacks = {"pgd": qa.OnOutputs(qa.pgd(threat, steps=10)), "gap": qa.pgd_plus(threat, qa.Gap(), steps=10)}
record = qa.evaluate(model, images, labels, attacks, threat, name="resnet8-int8", data="cifar10")
print(f"clean {record.clean:.2f}  pgd on its outputs {record.robust('pgd'):.2f}  worst case {record.worst_case:.2f}")
print("a softmax at the end hides the gradient" if "saturated_softmax" in record.codes else "its outputs have a slope")
