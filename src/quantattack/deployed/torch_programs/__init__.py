"""Programs of torch.export and PT2E, and quantized modules: climbed through a twin, judged as they are."""
