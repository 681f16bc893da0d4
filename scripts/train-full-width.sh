#!/bin/sh
# Train paper A's full-width networks, on a GPU where there is one; a second call continues what was interrupted.
#     QUANTATTACK_DATA=folder scripts/train-full-width.sh [OUT]
# On several GPUs: put `torchrun --nproc-per-node=N --no-python` before `quantattack`.
set -eu
out=${1:-zoo}
mkdir -p "$out"
for name in \
  cifar10-resnet18-full-float cifar10-vgg16-full-float \
  cifar10-resnet18-full-mdtanhs cifar10-vgg16-full-mdtanhs \
  cifar10-resnet18-full-bnn-waq cifar10-vgg16-full-bnn-waq \
  cifar10-resnet18-full-float-adv cifar10-resnet18-full-bc-adv \
  cifar10-resnet18-full-gdtanh-adv cifar10-resnet18-full-mdtanhs-adv \
  cifar100-resnet18-full-float cifar100-vgg16-full-float \
  cifar100-resnet18-full-mdtanhs cifar100-vgg16-full-mdtanhs
do
  [ -f "$out/$name.safetensors" ] || quantattack train "$name" --out "$out/$name.safetensors"
done
