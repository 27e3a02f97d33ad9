"""Programs that make what the project ships: `python -m scripts.name`, from its root."""
