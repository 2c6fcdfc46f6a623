"""A trained prompt as users have it: saved, loaded, asked for labels, alone or several over one backbone."""
