"""Models by what a user calls them: Python code, folders of Hugging Face, weights, the zoo, and deployed files."""
