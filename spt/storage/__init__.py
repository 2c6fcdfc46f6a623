"""How files are written, there whole or not at all, and read: checked, bounded, their errors naming them."""
