"""Tables, figures and HTML reports built from records; nothing here loads a model."""
