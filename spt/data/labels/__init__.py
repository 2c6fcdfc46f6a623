"""What a cell may say of classes, and what the classes are."""
