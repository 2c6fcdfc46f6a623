"""What a process computes with and says: cores, devices, precision, packages, versions, output."""
