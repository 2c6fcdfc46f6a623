"""What `spt doctor` looks at: packages, devices, threads, folders, ports, Ray, NNI and the hub."""
