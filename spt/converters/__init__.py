"""From the files of other programs to a folder that `from_pretrained` reads."""
