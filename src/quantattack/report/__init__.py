"""Tables, figures and the page of a run: they read records and never a model."""
