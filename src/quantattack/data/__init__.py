"""Data: data sets by name, readers of standard formats, downloads, and the sources of images of an evaluation."""
