"""The HTTP server under load: sustained, above its bound, and with one of its replicas killed."""
