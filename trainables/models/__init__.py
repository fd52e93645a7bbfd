"""The seven documented models, one file each; `trainables.definition` says what a file offers and loads it."""
