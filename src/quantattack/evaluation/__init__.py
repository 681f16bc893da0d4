"""From a model, images and attacks to a record."""
