"""Judges without a twin of their own: files of ExecuTorch and OpenVINO, attacked through what they were made of."""
