"""What the choice of layers is worth: tables of the truth, and strategies judged by them."""
