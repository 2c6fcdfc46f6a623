"""Let every Python that a command under test starts count its changes; on PYTHONPATH of these alone."""

from benchmarks.crash.hook import install

install()
